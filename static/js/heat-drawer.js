/* The drawer of one GPU beside the map: opened with its page's inside, closed by Escape or its button;
   the focus goes back to where it came from. */
window.fleetGpuDrawer = (() => {
  const panel = () => document.getElementById("gpu-drawer");
  let returnTo = null;

  async function show(address, opener) {
    const answer = await fetch(address, { headers: { "HX-Request": "true" } });
    if (!answer.ok || answer.redirected) return false;
    const body = new DOMParser().parseFromString(await answer.text(), "text/html").body;
    panel().querySelector("[data-heat-inside]").replaceChildren(...body.childNodes);
    panel().hidden = false;
    panel().focus({ preventScroll: true });
    returnTo = opener;
    return true;
  }
  function close() {
    panel().hidden = true;
    if (location.hash.startsWith("#gpu=")) history.replaceState(history.state, "", location.pathname + location.search);
    returnTo?.focus({ preventScroll: true });
  }
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !panel()?.contains(event.target)) return;
    close();
    event.stopPropagation();
  }, true);
  document.addEventListener("click", (event) => { if (event.target.closest("[data-heat-close]")) close(); });

  return { show };
})();
