// Rules for the scripts of the report page. They share one scope, so what one of them uses
// may be defined in another: tsc checks that it is defined, and that it has the right type.
import js from "@eslint/js";
import globals from "globals";

export default [
  {
    files: ["digits/report/page/*.js"],
    ...js.configs.recommended,
    languageOptions: { ecmaVersion: 2023, sourceType: "script", globals: globals.browser },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      ...js.configs.recommended.rules,
      "no-undef": "off",
      "no-unused-vars": ["error", { vars: "local" }],
      "complexity": ["error", 10],
      "curly": ["error", "multi-line"],
      "eqeqeq": "error",
      "max-depth": ["error", 4],
      "max-lines-per-function": ["error", { max: 60, skipComments: true, skipBlankLines: true, IIFEs: true }],
      "no-else-return": "error",
      "no-param-reassign": "error",
      "no-shadow": "error",
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
      "prefer-template": "off",
    },
  },
];
