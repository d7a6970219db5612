// Byte-pair encoding step by step: bytes, counts of neighbours, the merge that wins, the shorter sequence.

/** How often each pair of neighbours stands in `ids`, overlapping ones too: largest count first, then largest pair. */
export function countPairs(ids) {
  const counts = new Map();
  for (let i = 0; i + 1 < ids.length; i += 1) {
    const name = `${ids[i]},${ids[i + 1]}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].map(([name, count]) => ({ pair: name.split(",").map(Number), count }))
    .sort((a, b) => b.count - a.count || b.pair[0] - a.pair[0] || b.pair[1] - a.pair[1]);
}

/** `id` in place of every occurrence of the pair, from left to right. */
export function mergePair(ids, [a, b], id) {
  const merged = [];
  for (let i = 0; i < ids.length; i += 1) {
    const found = ids[i] === a && ids[i + 1] === b;
    merged.push(found ? id : ids[i]);
    if (found) i += 1;
  }
  return merged;
}

/** Up to `merges` merges of a text: what is learned, the ids after the last, and the bytes of every id. */
export function trainBpe(text, merges) {
  let ids = [...new TextEncoder().encode(text)];
  const vocabulary = new Map(Array.from({ length: 256 }, (_, byte) => [byte, [byte]]));
  const learned = [];
  while (learned.length < merges) {
    const [best] = countPairs(ids);
    if (!best) break;
    const id = 256 + learned.length;
    ids = mergePair(ids, best.pair, id);
    vocabulary.set(id, best.pair.flatMap((part) => vocabulary.get(part)));
    learned.push({ ...best, id, length: ids.length });
  }
  return { learned, ids, vocabulary };
}

/** Bytes as a reader can see them: text where they are whole letters, and otherwise their hexadecimal digits. */
export function shown(bytes) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes));
    return [...text].map((letter) => {
      if (letter === " ") return "␣";
      if (letter === "\n") return "⏎";
      return /\p{C}|\p{Z}|\p{M}/u.test(letter) ? `⟨U+${letter.codePointAt(0).toString(16).toUpperCase()}⟩` : letter;
    }).join("");
  } catch {
    return `⟨${bytes.map((b) => b.toString(16).toUpperCase().padStart(2, "0")).join(" ")}⟩`;
  }
}

function render({ model, el }) {
  const id = newId("bpe");
  el.classList.add("cw");
  keepKeys(el);
  el.innerHTML = `
    <p class="cw-help">Type any text, in any script. Each step merges the pair of neighbours that is most frequent;
      of equally frequent pairs the one with the largest ids.</p>
    <label for="${id}-t" class="cw-text-label">Text</label>
    <textarea id="${id}-t" class="cw-text" rows="2" maxlength="400" spellcheck="false" autocomplete="off"></textarea>
    <div class="cw-controls">
      <button type="button" class="cw-back">Back</button><button type="button" class="cw-step">Merge</button>
      <button type="button" class="cw-ten">10 merges</button><button type="button" class="cw-reset">Start again</button>
      <label for="${id}-s">Merges <input type="range" id="${id}-s" class="cw-steps" min="0" step="1">
        <output for="${id}-s"></output></label>
    </div>
    <p class="cw-status" role="status"></p>
    <p class="cw-label" id="${id}-k"></p>
    <p class="cw-tokens" aria-labelledby="${id}-k" role="group"></p>
    <div class="cw-row">
      <table class="cw-table cw-next"><caption>Most frequent pairs now</caption><thead><tr><th scope="col">pair</th>
        <th scope="col">ids</th><th scope="col">count</th></tr></thead><tbody></tbody></table>
      <table class="cw-table cw-learned"><caption>Last merges</caption><thead><tr><th scope="col">new id</th>
        <th scope="col">made of</th><th scope="col">stands for</th></tr></thead><tbody></tbody></table>
    </div>`;
  const find = (selector) => el.querySelector(selector);
  const slider = find(".cw-steps");
  let all = null; // every merge that the present text has
  let from = null;
  const put = (steps) => { model.set("steps", steps); model.save_changes(); };
  const steps = () => Math.min(model.get("steps"), all.learned.length);
  find(".cw-step").addEventListener("click", () => put(Math.min(steps() + 1, all.learned.length)));
  find(".cw-ten").addEventListener("click", () => put(Math.min(steps() + 10, all.learned.length)));
  find(".cw-back").addEventListener("click", () => put(Math.max(steps() - 1, 0)));
  find(".cw-reset").addEventListener("click", () => put(0));
  slider.addEventListener("input", () => put(Number(slider.value)));
  const showText = bind(model, "text", find(".cw-text"));

  function fill(table, rows) {
    const body = table.tBodies[0];
    body.replaceChildren();
    for (const cells of rows) {
      const row = body.insertRow();
      for (const text of cells) row.insertCell().textContent = text;
    }
  }

  function draw() {
    const text = model.get("text");
    if (text !== from) {
      all = trainBpe(text, Infinity);
      from = text;
    }
    if (find(".cw-text").value !== text) showText(); // writing it anew would move the cursor
    const now = steps();
    const { learned, ids, vocabulary } = trainBpe(text, now);
    const name = (token) => shown(vocabulary.get(token));
    slider.max = all.learned.length;
    slider.value = now;
    find("output").textContent = now;
    find(".cw-back").disabled = find(".cw-reset").disabled = now === 0;
    find(".cw-step").disabled = find(".cw-ten").disabled = now === all.learned.length;
    find(".cw-tokens").replaceChildren(...ids.map((token, i) => {
      const span = document.createElement("span");
      span.className = "cw-piece";
      span.classList.toggle("cw-odd", i % 2 === 1);
      span.classList.toggle("cw-new", token === 255 + now && now > 0);
      span.title = `id ${token}`;
      span.dataset.id = token;
      span.textContent = name(token);
      return span;
    }));
    const candidates = countPairs(ids).slice(0, 5);
    fill(find(".cw-next"), candidates.map(({ pair, count }) => [pair.map(name).join(" + "), pair.join(", "), count]));
    fill(find(".cw-learned"), learned.slice(-5).reverse().map((m) => [m.id, m.pair.map(name).join(" + "), name(m.id)]));
    const bytes = new TextEncoder().encode(text).length;
    find(".cw-label").textContent = `${ids.length} tokens`;
    const last = learned.at(-1);
    const what = last
      ? `Merge ${now}: ${last.pair.map(name).join(" + ")} came ${last.count} ${last.count === 1 ? "time" : "times"} and became token ${last.id}.`
      : "No merge yet: every byte is a token.";
    const rate = ids.length ? `, ${fixed(bytes / ids.length, 2)} bytes a token` : "";
    find(".cw-status").textContent = `${what} ${bytes} bytes in ${ids.length} tokens${rate}.`;
  }
  return redraw(model, ["text", "steps"], draw);
}
export default { render };
