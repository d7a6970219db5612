// What the widgets share: the mathematics of attention, then helpers for drawing and for the keyboard.

/** Softmax over the allowed scores; a row with nothing allowed is all zeros. */
export function softmax(scores, allowed = scores.map(() => true)) {
  const open = scores.filter((_, i) => allowed[i]);
  if (!open.length) return scores.map(() => 0);
  const top = Math.max(...open); // subtracting it keeps exp from overflowing
  const powers = scores.map((s, i) => (allowed[i] ? Math.exp(s - top) : 0));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((p) => p / total);
}

export function dot(a, b) {
  return a.reduce((sum, x, i) => sum + x * b[i], 0);
}

/** Scores q·k, divided by √d if `scaled`, of one query against every key. */
export function scoresOf(query, keys, scaled = true) {
  const scale = scaled ? Math.sqrt(query.length) : 1;
  return keys.map((k) => dot(query, k) / scale);
}

/** The sum of the values, each multiplied by its weight. */
export function combine(weights, values) {
  return values[0].map((_, j) => weights.reduce((sum, w, i) => sum + w * values[i][j], 0));
}

const clamp = (x, low, high) => Math.max(low, Math.min(high, x));
// "-0.00" would tell a reader of a sign that is not there
const fixed = (x, digits) => (Number(x.toFixed(digits)) + 0).toFixed(digits).replace("-", "\u2212");
const newId = (name) => `${name}-${Math.random().toString(36).slice(2, 8)}`;

function svgNode(name, attributes = {}, parent = null, text = "") {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text) node.textContent = text;
  parent?.append(node);
  return node;
}

/** A square drawing of the plane from -limit to limit, with axes; `at` maps a point to pixels, `from` back. */
function plane(parent, { size = 320, limit = 3, label }) {
  const unit = size / (2 * limit + 0.6);
  const svg = svgNode("svg", { viewBox: `0 0 ${size} ${size}`, class: "cw-plane", role: "group", "aria-label": label }, parent);
  const half = size / 2;
  svgNode("line", { x1: 0, y1: half, x2: size, y2: half, class: "cw-axis" }, svg);
  svgNode("line", { x1: half, y1: 0, x2: half, y2: size, class: "cw-axis" }, svg);
  for (let t = -limit; t <= limit; t += 1) {
    if (!t) continue;
    svgNode("line", { x1: half + t * unit, x2: half + t * unit, y1: half - 3, y2: half + 3, class: "cw-axis" }, svg);
    svgNode("line", { y1: half + t * unit, y2: half + t * unit, x1: half - 3, x2: half + 3, class: "cw-axis" }, svg);
  }
  const at = ([x, y]) => [half + unit * x, half - unit * y];
  const from = (event) => {
    const p = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    return [(p.x - half) / unit, (half - p.y) / unit];
  };
  return { svg, at, from, limit };
}

/** Let a group be dragged, or moved with the arrow keys (Shift: finer); `move` receives the new point. */
function movable(group, space, name, get, move) {
  group.classList.add("cw-handle");
  for (const [key, value] of Object.entries({
    tabindex: 0, role: "slider", "aria-label": name, "aria-roledescription": "point in the plane",
    "aria-valuemin": -space.limit, "aria-valuemax": space.limit,
  })) group.setAttribute(key, value);
  const put = (p) => move(p.map((v) => Math.round(clamp(v, -space.limit, space.limit) * 100) / 100));
  group.addEventListener("pointerdown", (down) => {
    const drag = (event) => put(space.from(event));
    const drop = () => {
      group.removeEventListener("pointermove", drag);
      for (const end of ["pointerup", "pointercancel"]) group.removeEventListener(end, drop);
    };
    group.setPointerCapture(down.pointerId);
    group.addEventListener("pointermove", drag);
    for (const end of ["pointerup", "pointercancel"]) group.addEventListener(end, drop);
    down.preventDefault();
    group.focus();
  });
  group.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!way) return;
    event.preventDefault();
    const step = event.shiftKey ? 0.01 : 0.1;
    put(get().map((v, i) => v + step * way[i]));
  });
}

function placeHandle(group, space, point) {
  const [x, y] = space.at(point);
  group.setAttribute("transform", `translate(${x} ${y})`);
  group.setAttribute("aria-valuenow", point[0]);
  group.setAttribute("aria-valuetext", `x ${fixed(point[0], 2)}, y ${fixed(point[1], 2)}`);
}

/** Tie a form control to a trait of the model, both ways. */
function bind(model, trait, input, { property = "value", event = "input", read = (x) => x } = {}) {
  const show = () => { input[property] = model.get(trait); };
  input.addEventListener(event, () => { model.set(trait, read(input[property])); model.save_changes(); });
  show();
  return show;
}

/** Call `draw` now and after every change of a trait; returns what undoes it. */
function redraw(model, traits, draw) {
  for (const trait of traits) model.on(`change:${trait}`, draw);
  draw();
  return () => { for (const trait of traits) model.off(`change:${trait}`, draw); };
}

/** Keep the keys pressed inside a widget from JupyterLab, which moves between headings with the arrow keys. */
function keepKeys(el) {
  // the mark must be on the very element that has the focus: JupyterLab looks there first
  el.addEventListener("focusin", (event) => { event.target.dataset.lmSuppressShortcuts = "true"; });
}
