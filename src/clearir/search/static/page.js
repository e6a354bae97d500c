// The page works without this. It adds keys, lines between the places of a passage in both lists, and the sentence of
// a passage that is closest to the query, for the passages that are looked at.
"use strict";

const box = document.getElementById("q");
const hits = [...document.querySelectorAll(".hit")];
const hitsOf = (side) => hits.filter((hit) => hit.closest(side));

// One stop of the tab key for each hit: what is inside of it is reached once it is unfolded.
for (const hit of hits) {
  hit.tabIndex = 0;
  const details = hit.querySelector("details");
  const inner = hit.querySelectorAll("summary, a");
  const reach = () => inner.forEach((one) => (one.tabIndex = details?.open ? 0 : -1));
  details?.addEventListener("toggle", reach);
  reach();
}

function beside(hit) {
  const [here, there] = hit.closest("#base") ? ["#base", "#tuned"] : ["#tuned", "#base"];
  const others = hitsOf(there);
  const same = others.find((one) => one.dataset.id === hit.dataset.id);
  return [there, same || others[Math.min(hitsOf(here).indexOf(hit), others.length - 1)]];
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  const typing = event.target.matches("input:not([type=checkbox]), select");
  const hit = event.target.closest(".hit");
  const shown = hits.filter((one) => one.offsetParent && (!hit || one.closest(".side") === hit.closest(".side")));
  if (event.key === "/" && !typing && box) {
    event.preventDefault();
    box.focus();
    box.select();
  } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && (!typing || event.target === box)) {
    const at = shown.indexOf(hit);
    const next = event.key === "ArrowDown" ? shown[at + 1] : shown[at - 1] || box;
    if (next && (at >= 0 || event.key === "ArrowDown")) {
      event.preventDefault();
      next.focus();
    }
  } else if (hit && event.key === (hit.closest("#base") ? "ArrowLeft" : "ArrowRight")) {
    const [side, other] = beside(hit);
    if (!other) return;
    event.preventDefault();
    if (!other.offsetParent) location.hash = side;
    other.focus();
  } else if (event.key === "Enter" && event.target === hit) {
    const details = hit.querySelector("details");
    if (details) details.open = !details.open;
  }
});

// What is empty, or as usual, need not stand in the address.
document.querySelector(".ask")?.addEventListener("submit", (event) => {
  for (const field of event.target.querySelectorAll("[name=filter]")) field.disabled = !field.value;
  const number = event.target.querySelector("[name=k]");
  number.disabled = number.value === number.dataset.usual;
});
addEventListener("pageshow", () => {
  for (const field of document.querySelectorAll("[name=filter], [name=k]")) field.disabled = false;
});

// Whoever empties the box gets the examples again.
box?.addEventListener("input", () => {
  const examples = document.getElementById("examples");
  if (examples && !box.value) examples.open = true;
});

const tabs = [...document.querySelectorAll(".tabs a")];
const tell = () => tabs.forEach((tab) => (tab.ariaCurrent = String(tab.hash === (location.hash || "#tuned"))));
addEventListener("hashchange", tell);
tell();

const canvas = document.querySelector(".moves");
if (canvas) {
  const pairs = hitsOf("#tuned")
    .map((left) => [left, hitsOf("#base").find((hit) => hit.dataset.id === left.dataset.id)])
    .filter(([, right]) => right);
  const paths = pairs.map(([left, right]) => {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    if (left.classList.contains("right")) path.classList.add("right");
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

// The closest sentence costs an encoding of the passage: one after the other, and only what comes into view.
const queue = [];
let asking = false;

async function ask() {
  if (asking) return;
  asking = true;
  for (let hit; (hit = queue.shift()); ) {
    const asked = new URLSearchParams({ q: box.defaultValue, id: hit.dataset.id });
    const answer = await fetch(`/api/sentence?${asked}`).catch(() => null);
    if (!answer?.ok) break;
    show(hit, await answer.json());
  }
  asking = false;
}

function show(hit, { before, shown, after, sentence }) {
  if (!sentence) return;
  const marked = (text) => Object.assign(document.createElement("mark"), { className: "sentence", textContent: text });
  hit.querySelector(".text").replaceChildren(before, marked(shown), after);
  const whole = hit.querySelector(".whole");
  const at = whole ? whole.textContent.indexOf(sentence) : -1;
  if (at >= 0) {
    const text = whole.textContent;
    whole.replaceChildren(text.slice(0, at), marked(sentence), text.slice(at + sentence.length));
  }
}

const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    queue.push(target);
  }
  ask();
});
for (const hit of hits) if ("seek" in hit.dataset && !hit.closest("#base")) seen.observe(hit);
