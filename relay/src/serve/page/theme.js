// Not a module: it runs before the first paint, so that a chosen theme never flashes.
"use strict";
(() => {
  const KEY = "relay.theme";
  const THEMES = ["system", "light", "dark"];
  const root = document.documentElement;

  // Storage may be off; then a choice lasts as long as the page.
  const stored = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null;
    }
  };
  let theme = THEMES.includes(stored()) ? stored() : "system";

  const apply = () => {
    if (theme === "system") delete root.dataset.theme;
    else root.dataset.theme = theme;
    dispatchEvent(new CustomEvent("themechange"));
  };
  apply();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);

  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const label = () => {
      button.textContent = `Theme: ${theme}`;
    };
    button.addEventListener("click", () => {
      theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
      try {
        localStorage.setItem(KEY, theme);
      } catch {
        // See above.
      }
      label();
      apply();
    });
    label();
    button.hidden = false;
  });
})();
