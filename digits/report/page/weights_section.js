// What a model looks for, and the evidence that it finds in one image.

whenIdle("weights", () => {
  const select = byId("weights-variant");
  const number = byId("image-number");
  const [first, second] = [byId("compare-a"), byId("compare-b")];
  let pair = []; // the labels compared

  /** The classes that an output's weights speak for and against, in words. */
  function meaning(variant, output) {
    const { names: called, decision } = variant;
    if (decision === "sigmoid") return [`for ${called[1]}`, `for ${called[0]}`];
    if (decision === "threshold") return ["raises the score", "lowers the score"];
    return [`for ${called[output]}`, `against ${called[output]}`];
  }

  function showWeights() {
    const variant = linearOf(state.variant);
    const size = height * width;
    const limit = reach(variant.coef, 0.99);
    byId("weight-images").replaceChildren(...Array.from(variant.intercept, (_, output) => {
      const weights = variant.coef.subarray(output * size, (output + 1) * size);
      const one = variant.intercept.length === 1;
      const words = one ? meaning(variant, output).join(", ") : variant.names[output];
      const name = one ? "The weights of the only score" : `The weights for ${words}`;
      return element("figure", { role: "img", "aria-label": name },
        signedPicture(weights, limit), element("figcaption", {}, one ? "the only score" : words));
    }));
    const [favour, against] = variant.intercept.length === 1 ? meaning(variant, 0) : ["for", "against"];
    showScale(byId("weight-scale"), limit, against, favour);
    byId("weight-scale").append(element("span", { className: "note" },
      "One weight in a hundred is larger; it has the end's colour."));
  }

  /** The two class indices to compare: as chosen, or the true class and its rival. */
  function compared(variant, image, scores) {
    const chosen = cellOf(variant, state.compare);
    if (chosen && chosen[0] !== chosen[1]) return chosen;
    const order = variant.digits.map((_, i) => i).sort((a, b) => scores[b] - scores[a]);
    const actual = variant.digits.indexOf(labels[image]);
    if (actual < 0) return order.slice(0, 2);
    return [actual, order[0] === actual ? order[1] : order[0]];
  }

  function part(title, canvas, words) {
    return element("figure", {}, element("h4", {}, title), canvas, element("figcaption", {}, words));
  }

  function showEvidence() {
    const variant = linearOf(state.variant);
    const image = Number(state.image);
    const pixels = pixelsOf(image);
    const scores = scoresOf(variant, pixels);
    const probabilities = probabilitiesOf(variant, scores);
    const answer = decide(variant, scores);
    number.value = image;
    const known = variant.digits.includes(labels[image]);
    byId("evidence-result").textContent = `${capital(oneOf(labels[image]))}. ${variant.name} says ${variant.names[answer]}`
      + (probabilities ? `, with a probability of ${percent(probabilities[answer], 1)}.` : `: its score is ${signed(scores.length > 1 ? scores[answer] : scores[0])}.`)
      + (known ? "" : ` It knows only ${variant.names.join(variant.names.length === 2 ? " and " : ", ")}.`);
    const many = scores.length > 1;
    byId("compare-controls").hidden = !many;
    const figures = [part("The image", element("div", { className: "frame" }, inkPicture(pixels)), `test image ${image}, ${oneOf(labels[image])}`)];
    const sum = (output) => `${signed(variant.intercept[output])} constant ${signed(scores[output] - variant.intercept[output], 2, true)} evidence = score ${signed(scores[output])}`;
    let limit;
    if (many) {
      const [a, b] = compared(variant, image, scores);
      for (const [control, value] of [[first, a], [second, b]]) {
        options(control, variant.digits.map((digit) => [digit, nameOf(digit)]));
        control.value = variant.digits[value];
      }
      const [forA, forB] = [evidence(variant, pixels, a), evidence(variant, pixels, b)];
      const lead = forA.map((value, i) => value - forB[i]);
      limit = reach([...forA, ...forB, ...lead], 0.995);
      const [nameA, nameB] = [variant.names[a], variant.names[b]];
      pair = [variant.digits[a], variant.digits[b]];
      figures.push(
        part(`For ${nameA}`, signedPicture(forA, limit), sum(a)),
        part(`For ${nameB}`, signedPicture(forB, limit), sum(b)),
        part(`For ${nameA} rather than ${nameB}`, signedPicture(lead, limit),
          `the first score less the second: ${signed(scores[a] - scores[b], 2, true)}`),
      );
      showScale(byId("evidence-scale"), limit, "against", "for");
    } else {
      const values = evidence(variant, pixels, 0);
      limit = reach(values, 0.995);
      const [favour, against] = meaning(variant, 0);
      const after = variant.decision === "threshold"
        ? `; cut at ${variant.cuts.map((value) => signed(value, 2)).join(", ")}` : `; above 0 it is the second ${noun}`;
      figures.push(part("The evidence", signedPicture(values, limit), sum(0) + after));
      showScale(byId("evidence-scale"), limit, against, favour);
    }
    byId("evidence-scale").append(element("span", { className: "note" },
      "One value in two hundred is larger; it has the end's colour."));
    byId("evidence").replaceChildren(...figures);
  }

  const step = (by) => {
    const place = (placeOfImage.get(Number(state.image)) + by + kept.length) % kept.length;
    choose({ image: String(kept[place]), compare: "" });
  };
  select.addEventListener("change", () => choose({ variant: select.value, cell: "", compare: "" }));
  byId("image-before").addEventListener("click", () => step(-1));
  byId("image-after").addEventListener("click", () => step(1));
  byId("image-mistake").addEventListener("click", () => {
    const variant = linearOf(state.variant);
    const worst = Array.from(variant.worst, (row) => variant.images[row]).filter((i) => placeOfImage.has(i));
    const next = worst[(worst.indexOf(Number(state.image)) + 1) % worst.length];
    if (next !== undefined) choose({ image: String(next), compare: "" });
  });
  number.max = labels.length - 1;
  number.addEventListener("change", () => {
    if (placeOfImage.has(number.valueAsNumber)) choose({ image: number.value, compare: "" });
    else number.value = state.image;
  });
  for (const control of [first, second]) {
    control.addEventListener("change", () => {
      let [a, b] = [first.value, second.value];
      if (a === b) [a, b] = pair.toReversed(); // they change places
      choose({ compare: `${a}-${b}` });
    });
  }
  whenChanged(["variant"], (chosen) => { select.value = linearOf(chosen.variant).name; showWeights(); });
  whenChanged(["variant", "image", "compare"], showEvidence);
  whenRedrawn(() => { showWeights(); showEvidence(); });
});
