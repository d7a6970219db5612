// From logits to the distribution that the next word is drawn from.

/** As course_lib.generation.next_token_probs: temperature, then the k largest, then the fewest that sum to p. */
export function nextTokenProbs(logits, temperature = 1, topK = logits.length, topP = 1) {
  const highest = Math.max(...logits);
  if (temperature === 0) {
    const best = logits.indexOf(highest); // among equals the first
    return logits.map((_, i) => Number(i === best));
  }
  let scores = logits.map((z) => (z - highest) / temperature);
  if (topK < scores.length) {
    const edge = [...scores].sort((a, b) => b - a)[topK - 1];
    scores = scores.map((s) => (s < edge ? -Infinity : s)); // equals at the edge stay
  }
  const probs = softmax(scores);
  if (topP >= 1) return probs;
  let [reached, edge] = [0, 1];
  for (const p of [...probs].sort((a, b) => b - a)) {
    if (reached >= topP) break;
    [reached, edge] = [reached + p, p];
  }
  const kept = probs.map((p) => (p < edge ? 0 : p));
  const sum = kept.reduce((a, b) => a + b, 0);
  return kept.map((p) => p / sum);
}

/** Entropy in nats; what cannot happen adds nothing. */
export function entropyOf(probs) {
  return probs.reduce((sum, p) => sum - (p > 0 ? p * Math.log(p) : 0), 0);
}

function render({ model, el }) {
  const id = newId("next");
  const [words, prompts, shown] = ["words", "prompts", "shown"].map((t) => model.get(t));
  el.classList.add("cw");
  keepKeys(el);
  el.innerHTML = `
    <div class="cw-controls">
      <label for="${id}-q">Beginning <select id="${id}-q" class="cw-prompt"></select></label>
      <label for="${id}-t">Temperature <input id="${id}-t" class="cw-temperature" type="range" min="0" max="3" step="0.05"><output></output></label>
      <label for="${id}-k">Top-k <input id="${id}-k" class="cw-top-k" type="range" min="1" max="${words.length}" step="1"><output></output></label>
      <label for="${id}-p">Top-p <input id="${id}-p" class="cw-top-p" type="range" min="0.05" max="1" step="0.05"><output></output></label>
    </div>
    <table class="cw-table"><caption></caption>
      <thead><tr><th scope="col">next word</th><th scope="col">logit</th><th scope="col">probability</th></tr></thead>
      <tbody></tbody></table>
    <p class="cw-status" role="status"></p>`;
  const find = (selector) => el.querySelector(selector);
  prompts.forEach((text, i) => find(".cw-prompt").append(new Option(`${text} ____`, i)));
  const rest = words.length - shown;
  const rows = Array.from({ length: shown + (rest > 0) }, () => {
    const row = find("tbody").insertRow();
    row.innerHTML = `<th scope="row"></th><td class="cw-score"></td>
      <td class="cw-weight"><span class="cw-number"></span><span class="cw-bar"></span></td>`;
    return row;
  });
  const show = [
    bind(model, "prompt", find(".cw-prompt"), { event: "change", read: Number }),
    bind(model, "temperature", find(".cw-temperature"), { read: Number }),
    bind(model, "top_k", find(".cw-top-k"), { read: Number }),
    bind(model, "top_p", find(".cw-top-p"), { read: Number }),
  ];
  function fill(row, word, score, share) {
    row.querySelector("th").textContent = word;
    row.querySelector(".cw-score").textContent = score;
    row.querySelector(".cw-number").textContent = share === 0 ? "0" : fixed(share, 3);
    row.querySelector(".cw-bar").style.width = `${(100 * share).toFixed(1)}%`;
  }
  function draw() {
    const [prompt, temperature, topK, topP] = ["prompt", "temperature", "top_k", "top_p"].map((t) => model.get(t));
    for (const f of show) f();
    const logits = model.get("logits")[prompt];
    const probs = nextTokenProbs(logits, temperature, topK, topP);
    const order = logits.map((z, i) => [z, i]).sort(([a, i], [b, j]) => b - a || i - j).map(([, i]) => i);
    order.slice(0, shown).forEach((i, r) => fill(rows[r], words[i], fixed(logits[i], 2), probs[i]));
    if (rest > 0) fill(rows[shown], `${rest} others`, "", order.slice(shown).reduce((sum, i) => sum + probs[i], 0));
    find("caption").textContent = `${prompts[prompt]} ____`;
    const outputs = el.querySelectorAll(".cw-controls output");
    outputs[0].textContent = temperature === 0 ? "0 (greedy)" : fixed(temperature, 2);
    outputs[1].textContent = topK >= words.length ? "all" : String(topK);
    outputs[2].textContent = topP >= 1 ? "all" : fixed(topP, 2);
    const open = probs.filter((p) => p > 0).length;
    find(".cw-status").textContent = `Most likely: ${words[order[0]]}, ${fixed(probs[order[0]], 3)}; `
      + `${open} of ${words.length} words can be drawn; entropy ${fixed(entropyOf(probs), 3)} nats.`;
  }
  return redraw(model, ["prompt", "temperature", "top_k", "top_p"], draw);
}
export default { render };
