// Attention with identity query, key and value, applied again and again to points in the plane.

/** One step: weights softmax(t tᵀ / temperature), values the points themselves. */
export function gramStep(points, temperature, normalise = false) {
  const next = points.map((p) => combine(softmax(points.map((other) => dot(p, other) / temperature)), points));
  if (!normalise) return next;
  return next.map((p) => { const r = Math.hypot(...p); return r ? p.map((x) => x / r) : p; });
}

/** How many groups the points fall into if points nearer than `gap` (also through others) belong together. */
export function countGroups(points, gap = 0.05) {
  const group = points.map((_, i) => i);
  const find = (i) => (group[i] === i ? i : find(group[i]));
  points.forEach((p, i) => points.slice(0, i).forEach((q, j) => {
    if (Math.hypot(p[0] - q[0], p[1] - q[1]) < gap) group[find(i)] = find(j);
  }));
  return points.filter((_, i) => find(i) === i).length;
}

function render({ model, el }) {
  const id = newId("gram");
  el.classList.add("cw");
  keepKeys(el);
  el.innerHTML = `
    <p class="cw-help">Each step replaces every point by the weighted mean of all points, with weights
      softmax(t·tᵀ / temperature). The line behind a point is the way it has come.</p>
    <div class="cw-row"><figure class="cw-cell"></figure><div class="cw-side">
      <div class="cw-controls"><button type="button" class="cw-step">Step</button>
        <button type="button" class="cw-ten">10 steps</button><button type="button" class="cw-reset">Start again</button></div>
      <div class="cw-controls"><label for="${id}-t">Temperature <input type="range" id="${id}-t" class="cw-temperature"
        min="0.05" max="2" step="0.05"> <output for="${id}-t"></output></label>
      <label><input type="checkbox" class="cw-normalise"> put points back on the unit circle</label></div>
      <p class="cw-status" role="status"></p></div></div>`;
  const find = (selector) => el.querySelector(selector);
  const space = plane(find("figure"), { limit: model.get("limit"), label: "Points and the ways they have come" });
  space.svg.setAttribute("role", "img");
  const dots = model.get("points").map(() => ({
    trail: svgNode("polyline", { class: "cw-trail" }, space.svg),
    dot: svgNode("circle", { r: 5, class: "cw-dot" }, space.svg),
  }));

  // the whole way is computed again from the start: the slider then acts on every step alike
  const trace = () => {
    const path = [model.get("points")];
    for (let i = 0; i < model.get("steps"); i += 1) {
      path.push(gramStep(path.at(-1), model.get("temperature"), model.get("normalise")));
    }
    return path;
  };
  const advance = (steps) => { model.set("steps", steps); model.save_changes(); };
  find(".cw-step").addEventListener("click", () => advance(model.get("steps") + 1));
  find(".cw-ten").addEventListener("click", () => advance(model.get("steps") + 10));
  find(".cw-reset").addEventListener("click", () => advance(0));
  const show = [
    bind(model, "temperature", find(".cw-temperature"), { read: Number }),
    bind(model, "normalise", find(".cw-normalise"), { property: "checked", event: "change" }),
  ];

  function draw() {
    const path = trace();
    const now = path.at(-1);
    dots.forEach(({ trail, dot: mark }, i) => {
      const [x, y] = space.at(now[i]);
      mark.setAttribute("cx", x);
      mark.setAttribute("cy", y);
      mark.dataset.point = now[i].join(",");
      trail.setAttribute("points", path.map((points) => space.at(points[i]).join(",")).join(" "));
    });
    for (const f of show) f();
    find("output").textContent = fixed(model.get("temperature"), 2);
    const groups = countGroups(now);
    const text = `Step ${path.length - 1}: ${now.length} points in ${groups} ${groups === 1 ? "group" : "groups"}`;
    find(".cw-status").textContent = `${text} (nearer than 0.05).`;
    space.svg.setAttribute("aria-label", `${text}.`);
  }
  return redraw(model, ["points", "steps", "temperature", "normalise"], draw);
}
export default { render };
