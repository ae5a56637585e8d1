// The contents mark the section that is in sight.
const inSight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const link = document.querySelector(`nav a[href="#${target.id}"]`);
    if (!(link instanceof HTMLElement)) continue;
    if (isIntersecting) {
      link.setAttribute("aria-current", "true");
      link.closest("nav")?.scrollTo({ left: link.offsetLeft - 60, top: link.offsetTop - 200 });
    } else link.removeAttribute("aria-current");
  }
}, { rootMargin: "-40% 0px -59% 0px" });
for (const section of document.querySelectorAll("section")) inSight.observe(section);
