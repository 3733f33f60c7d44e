/* Runs before first paint: auto | light | dark, remembered per browser, and what its colours are; marks that
   scripts run. */
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const wanted = () => {
    try {
      return localStorage.getItem("theme") || "auto";
    } catch {
      return "auto";
    }
  };
  const apply = () => {
    const choice = wanted();
    const dark = choice === "dark" || (choice === "auto" && system.matches);
    root.dataset.bsTheme = dark ? "dark" : "light";
    root.dataset.theme = choice;
    document.dispatchEvent(new CustomEvent("fleet:theme"));
  };
  root.classList.add("js");
  system.addEventListener("change", apply);
  window.fleetTheme = (choice) => {
    try {
      localStorage.setItem("theme", choice);
    } catch {
      /* private window: the choice lasts for this page */
    }
    apply();
  };
  /* for the map and charts: custom properties hold light-dark(), so let an element resolve them */
  window.fleetColour = (name) => {
    const probe = document.createElement("i");
    probe.className = "visually-hidden";
    document.body.append(probe);
    probe.style.color = `var(--${name})`;
    const colour = getComputedStyle(probe).color;
    probe.remove();
    return colour;
  };
  apply();
})();
