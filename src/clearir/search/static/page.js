// The page works without this. It adds keys, and lines between the places of a passage in both lists.
"use strict";

const box = document.getElementById("q");
const hits = [...document.querySelectorAll(".hit")];

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input:not([type=checkbox]), select");
  if (event.key === "/" && !typing && box) {
    event.preventDefault();
    box.focus();
    box.select();
  } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && (!typing || event.target === box)) {
    const at = hits.indexOf(event.target.closest(".hit"));
    const next = event.key === "ArrowDown" ? hits[at + 1] : hits[at - 1] || box;
    if (next && (at >= 0 || event.key === "ArrowDown")) {
      event.preventDefault();
      next.focus();
    }
  } else if (event.key === "Enter" && event.target.matches(".hit")) {
    const whole = event.target.querySelector("details");
    if (whole) whole.open = !whole.open;
  }
});

// A field that is empty need not stand in the address.
document.querySelector(".ask")?.addEventListener("submit", (event) => {
  for (const field of event.target.querySelectorAll("[name=filter]")) field.disabled = !field.value;
});
addEventListener("pageshow", () => {
  for (const field of document.querySelectorAll("[name=filter]")) field.disabled = false;
});

const canvas = document.querySelector(".moves");
if (canvas) {
  const pairs = hits
    .filter((hit) => hit.closest("#base"))
    .map((left) => [left, hits.find((hit) => hit.closest("#tuned") && hit.dataset.id === left.dataset.id)])
    .filter(([, right]) => right);
  const paths = pairs.map(([left, right]) => {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    const move = right.querySelector(".move");
    for (const kind of ["up", "down", "same"]) if (move.classList.contains(kind)) path.classList.add(kind);
    canvas.append(path);
    for (const one of [left, right]) {
      for (const [name, on] of [["mouseenter", true], ["mouseleave", false], ["focus", true], ["blur", false]]) {
        one.addEventListener(name, () => {
          for (const lit of [left, right, path]) lit.classList.toggle("lit", on);
        });
      }
    }
    return path;
  });
  const draw = () => {
    const frame = canvas.getBoundingClientRect();
    pairs.forEach(([left, right], i) => {
      const [from, to] = [left.getBoundingClientRect(), right.getBoundingClientRect()];
      const [x1, x2] = [from.right - frame.left + 6, to.left - frame.left - 6];
      const [y1, y2] = [from.top - frame.top + 24, to.top - frame.top + 24];
      const bend = (x2 - x1) / 2;
      paths[i].setAttribute("d", `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`);
    });
  };
  new ResizeObserver(draw).observe(document.querySelector(".sides"));
  draw();
}
