// Ways of aggregating over space: each is a matrix, and only one of them looks at what it mixes.

/** `k` binomial weights that sum to one. */
export function binomial(k) {
  let row = [1];
  while (row.length < k) row = [...row, 0].map((x, i) => x + (i ? row[i - 1] : 0));
  return row.map((x) => x / 2 ** (k - 1));
}

/** A convolution over n tokens as a matrix [m n]: cross-correlation with `padding` zeros at both ends. */
export function convMatrix(n, kernel, stride = 1, padding = Math.floor(kernel.length / 2)) {
  const m = Math.floor((n + 2 * padding - kernel.length) / stride) + 1;
  return Array.from({ length: m }, (_, i) => Array.from({ length: n }, (__, j) => kernel[j - i * stride + padding] ?? 0));
}

export function multiply(a, b) {
  return a.map((row) => b[0].map((_, j) => row.reduce((sum, x, k) => sum + x * b[k][j], 0)));
}

/** The same convolution of stride 2, `levels` times. */
export function pyramidMatrix(n, kernel, levels) {
  let matrix = convMatrix(n, kernel, 2);
  for (let level = 1; level < levels; level += 1) matrix = multiply(convMatrix(matrix.length, kernel, 2), matrix);
  return matrix;
}

/** Attention with identity query and key among tokens of one number. */
export function attentionMatrix(values, temperature) {
  return values.map((q) => softmax(values.map((k) => (q * k) / temperature)));
}

/** The matrix of a kind, and how many weights it is made of. */
export function mixing({ kind, values, free, kernel, stride, levels, temperature }) {
  const n = values.length;
  const weights = binomial(kernel);
  if (kind === "convolution") {
    return { matrix: convMatrix(n, weights, stride, kernel === stride ? 0 : Math.floor(kernel / 2)), parameters: kernel };
  }
  if (kind === "pyramid") return { matrix: pyramidMatrix(n, weights, levels), parameters: kernel * levels };
  if (kind === "attention") return { matrix: attentionMatrix(values, temperature), parameters: 0 };
  return { matrix: free, parameters: n * n };
}

const KINDS = ["convolution", "pyramid", "fully connected", "attention"];
const LIMIT = 2;
const STATE = ["kind", "values", "free", "kernel", "stride", "levels", "temperature"];

function render({ model, el }) {
  const id = newId("mix");
  const n = model.get("values").length;
  const start = [...model.get("values")];
  el.classList.add("cw");
  keepKeys(el);
  el.innerHTML = `
    <p class="cw-help">Drag the input bars, or focus one and press the arrow keys, and see whether the matrix follows.
      Point at a cell of the matrix, or enter it with Tab.</p>
    <div class="cw-controls">
      <label for="${id}-k">Layer <select id="${id}-k" class="cw-kind"></select></label>
      <label class="cw-for" data-for="convolution pyramid">Kernel <select class="cw-kernel"></select></label>
      <label class="cw-for" data-for="convolution">Stride <select class="cw-stride"></select></label>
      <label class="cw-for" data-for="pyramid">Levels <select class="cw-levels"></select></label>
      <label class="cw-for" data-for="attention">Temperature <input type="range" class="cw-temperature" min="0.1" max="4" step="0.1">
        <output></output></label>
      <button type="button" class="cw-reset">Put the input back</button>
    </div>
    <div class="cw-row">
      <figure class="cw-cell cw-matrix-cell"><figcaption></figcaption>
        <table class="cw-matrix" role="grid" aria-label="Mixing matrix: rows are new tokens, columns are old ones"></table></figure>
      <div class="cw-bars-cell"><p class="cw-label">old tokens</p><div class="cw-old"></div>
        <p class="cw-label">new tokens</p><div class="cw-fresh"></div>
        <table class="cw-table cw-facts"><caption>This matrix</caption><tbody></tbody></table></div>
    </div>
    <p class="cw-status" role="status"></p>`;
  const find = (selector) => el.querySelector(selector);
  const table = find(".cw-matrix");
  const choices = { kind: KINDS, kernel: [1, 2, 3, 5, 7], stride: [1, 2, 3], levels: [1, 2, 3] };
  const show = Object.entries(choices).map(([trait, options]) => {
    const select = find(`.cw-${trait}`);
    for (const option of options) select.add(new Option(option, option));
    return bind(model, trait, select, { event: "change", read: trait === "kind" ? String : Number });
  });
  show.push(bind(model, "temperature", find(".cw-temperature"), { read: Number }));
  find(".cw-reset").addEventListener("click", () => { model.set("values", [...start]); model.save_changes(); });

  // bars: 240 by 80, one for each token, growing from the middle
  const [wide, high] = [240, 80];
  const bars = (parent, count, label) => {
    const svg = svgNode("svg", { viewBox: `0 0 ${wide} ${high}`, class: "cw-bars", role: "group", "aria-label": label });
    svgNode("line", { x1: 0, x2: wide, y1: high / 2, y2: high / 2, class: "cw-axis" }, svg);
    parent.replaceChildren(svg);
    return { svg, step: wide / count, marks: Array.from({ length: count }, (_, i) => {
      const group = svgNode("g", {}, svg);
      svgNode("rect", { x: (wide / count) * i, y: 0, width: wide / count, height: high, class: "cw-target" }, group);
      svgNode("rect", { class: "cw-mark" }, group);
      return group;
    }) };
  };
  const place = ({ marks, step }, values, reach) => marks.forEach((group, i) => {
    const length = Math.max(1, (Math.abs(values[i]) / reach) * (high / 2 - 2));
    const mark = group.querySelector(".cw-mark");
    const shape = { x: step * (i + 0.2), width: step * 0.6, height: length, y: values[i] >= 0 ? high / 2 - length : high / 2 };
    for (const [key, value] of Object.entries(shape)) mark.setAttribute(key, value);
  });
  const old = bars(find(".cw-old"), n, "Old tokens, to be moved");
  old.marks.forEach((group, i) => {
    group.classList.add("cw-handle");
    for (const [key, value] of Object.entries({ tabindex: 0, role: "slider", "aria-label": `old token ${i}`,
      "aria-valuemin": -LIMIT, "aria-valuemax": LIMIT, "aria-orientation": "vertical" })) group.setAttribute(key, value);
    const put = (value) => {
      const next = Math.round(clamp(value, -LIMIT, LIMIT) * 10) / 10;
      model.set("values", model.get("values").map((v, j) => (j === i ? next : v)));
      model.save_changes();
    };
    group.addEventListener("pointerdown", (down) => {
      const drag = (event) => {
        const p = new DOMPoint(event.clientX, event.clientY).matrixTransform(old.svg.getScreenCTM().inverse());
        put(((high / 2 - p.y) / (high / 2 - 2)) * LIMIT);
      };
      const drop = () => {
        group.removeEventListener("pointermove", drag);
        for (const end of ["pointerup", "pointercancel"]) group.removeEventListener(end, drop);
      };
      group.setPointerCapture(down.pointerId);
      group.addEventListener("pointermove", drag);
      for (const end of ["pointerup", "pointercancel"]) group.addEventListener(end, drop);
      down.preventDefault();
      group.focus();
      drag(down);
    });
    group.addEventListener("keydown", (event) => {
      const way = { ArrowUp: 0.1, ArrowRight: 0.1, ArrowDown: -0.1, ArrowLeft: -0.1, PageUp: 0.5, PageDown: -0.5 }[event.key];
      if (way === undefined) return;
      event.preventDefault();
      put(model.get("values")[i] + way);
    });
  });

  let chosen = 0;
  let now = null;
  let fresh = null;
  rove(table, { columns: () => n, count: () => now.matrix.length * n, current: () => chosen, pick: (i, focus) => choose(i, focus) });
  function choose(i, focus = false) {
    chosen = i;
    markCell(table, i, focus);
    const [row, column] = [Math.floor(i / n), i % n];
    const sum = combine(now.matrix[row], model.get("values").map((v) => [v]))[0];
    find(".cw-status").textContent = `New token ${row} takes ${fixed(now.matrix[row][column], 3)} of old token ${column}; `
      + `all in all it is ${fixed(sum, 3)}. The matrix has moved by ${fixed(moved(), 3)} since the start.`;
  }
  const state = (values) => ({ ...Object.fromEntries(STATE.map((t) => [t, model.get(t)])), values });
  const moved = () => {
    const before = mixing(state(start)).matrix;
    return Math.max(...now.matrix.map((row, i) => Math.max(...row.map((x, j) => Math.abs(x - before[i][j])))));
  };

  function draw() {
    const values = model.get("values");
    const kind = model.get("kind");
    const focused = table.contains(document.activeElement);
    now = mixing(state(values));
    const { matrix, parameters } = now;
    for (const label of el.querySelectorAll(".cw-for")) label.hidden = !label.dataset.for.split(" ").includes(kind);
    for (const f of show) f();
    find("output").textContent = fixed(model.get("temperature"), 1);
    const top = Math.max(...matrix.flat().map(Math.abs));
    table.replaceChildren();
    const body = table.createTBody();
    matrix.forEach((row, i) => {
      const tr = body.insertRow();
      row.forEach((weight, j) => {
        const td = tr.insertCell();
        td.dataset.index = i * n + j;
        td.setAttribute("role", "gridcell");
        td.setAttribute("aria-label", `new ${i}, old ${j}: ${fixed(weight, 3)}`);
        td.dataset.weight = weight;
        td.className = weight === 0 ? "cw-zero" : weight < 0 ? "cw-minus" : "cw-plus";
        td.style.setProperty("--cw-w", Math.abs(weight) / top);
      });
    });
    find("figcaption").textContent = `${matrix.length} new tokens from ${n} old ones`;
    place(old, values, LIMIT);
    old.marks.forEach((group, i) => {
      group.setAttribute("aria-valuenow", values[i]);
      group.setAttribute("aria-valuetext", fixed(values[i], 1));
    });
    const mixed = matrix.map((row) => dot(row, values));
    if (fresh?.marks.length !== matrix.length) fresh = bars(find(".cw-fresh"), matrix.length, "");
    fresh.svg.setAttribute("role", "img");
    fresh.svg.setAttribute("aria-label", `New tokens: ${mixed.map((v) => fixed(v, 2)).join(", ")}`);
    place(fresh, mixed, Math.max(LIMIT, ...mixed.map(Math.abs)));
    const used = matrix.flat().filter((w) => w !== 0).length;
    const facts = [
      ["entries that are not zero", `${used} of ${matrix.length * n}`],
      ["weights it is made of", kind === "attention" ? "0 here; 2·d·d if query and key are learned" : String(parameters)],
      ["follows the input", kind === "attention" ? "yes" : "no"],
    ];
    const rows = find(".cw-facts").tBodies[0];
    rows.replaceChildren();
    for (const [name, fact] of facts) {
      const tr = rows.insertRow();
      tr.innerHTML = '<th scope="row"></th><td></td>';
      tr.children[0].textContent = name;
      tr.children[1].textContent = fact;
    }
    choose(Math.min(chosen, matrix.length * n - 1), focused);
  }
  return redraw(model, STATE, draw);
}
export default { render };
