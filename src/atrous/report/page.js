(() => {
  const viewer = document.getElementById("viewer");
  if (!viewer) return;
  const root = document.documentElement;
  const slider = document.getElementById("opacity");
  const figures = [...document.querySelectorAll("figure")];
  const keys = { o: "photo", g: "truth", p: "prediction", e: "errors" };
  let at = 0, layer = "errors";

  const setOpacity = () => root.style.setProperty("--opacity", slider.value / 100);
  const show = () => {
    const figure = figures[at];
    viewer.style.cssText = figure.style.cssText;
    viewer.replaceChildren(figure.querySelector(`[data-layer=${layer}]`).cloneNode(true));
    const frame = viewer.querySelector(".frame");
    frame.removeAttribute("role");
    frame.removeAttribute("tabindex");
    const caption = viewer.querySelector(".panel > span");
    caption.textContent += " · " + [...figure.querySelectorAll("figcaption > *")].map((e) => e.textContent).join(" · ");
    if (!viewer.open) viewer.showModal();
  };
  const open = (frame) => {
    at = figures.indexOf(frame.closest("figure"));
    layer = frame.parentElement.dataset.layer;
    show();
  };

  root.classList.add("live");
  document.querySelector(".tools").hidden = false;
  slider.addEventListener("input", setOpacity);
  for (const frame of document.querySelectorAll("figure .frame")) {
    frame.tabIndex = 0;
    frame.setAttribute("role", "button");
    frame.setAttribute("aria-label", "Enlarge: " + (frame.firstChild.alt || frame.firstChild.ariaLabel));
    frame.addEventListener("click", () => open(frame));
  }
  viewer.addEventListener("click", () => viewer.close());
  viewer.addEventListener("close", () => figures[at].querySelector(`[data-layer=${layer}] .frame`).focus());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "[" || event.key === "]") {
      slider.value = +slider.value + (event.key === "[" ? -10 : 10);
      return setOpacity();
    }
    const frame = document.activeElement;
    if (!viewer.open) {
      if ((event.key === "Enter" || event.key === " ") && frame.matches(".frame")) {
        event.preventDefault();
        open(frame);
      }
      return;
    }
    const turn = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (!turn && !keys[event.key]) return;
    event.preventDefault();
    at = (at + (turn || 0) + figures.length) % figures.length;
    layer = keys[event.key] || layer;
    show();
  });
})();
