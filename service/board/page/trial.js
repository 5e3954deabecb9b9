// The box: asks the service like any client, and shows its answer or its problem in its words.

import { bars, byId, make } from "./dom.js";
import { ms } from "./words.js";

const PATIENCE_MS = 10_000;
const EXAMPLES = {
  review: ["classify", "A gripping story, and not a minute too long. I would see it again tomorrow."],
  contract: ["summarize", [
    "SUPPLY AGREEMENT",
    "This Agreement is made on 4 May 2026 between Marlow Paper Ltd. (the “Supplier”) and Quill & Co. (the “Customer”).",
    "1. Supply. The Supplier shall deliver recycled paper to the Customer’s print works in Leeds. Deliveries are made on weekdays before noon.",
    "2. Term. This Agreement begins on the date above and continues for three (3) years. It renews for successive periods of one (1) year unless either party gives ninety (90) days’ written notice.",
    "3. Price. The price of each delivery is set out in Schedule 1. Invoices are sent at the end of the month. The Customer shall buy at least 40 tonnes in each calendar year.",
    "4. Exclusivity. During the Term the Customer shall not buy recycled paper from anyone other than the Supplier.",
    "5. Termination. Either party may terminate this Agreement for convenience on sixty (60) days’ written notice.",
    "6. Liability. Neither party’s total liability under this Agreement shall exceed the price paid in the twelve months before the claim arose.",
    "7. Assignment. Neither party may assign this Agreement without the prior written consent of the other.",
    "8. General. The headings are for convenience only. The canteen of the print works opens at eight. This Agreement is governed by the laws of England.",
  ].join("\n\n")],
};

let tasks = {};
let asked = 0;

/** Offer these models; those already offered stay as they are, with the choice made. */
export function offer(models, keysNeeded) {
  byId("trial-key-field").hidden = !keysNeeded;
  const offered = Object.fromEntries(models.map((model) => [model.name, model.task]));
  if (JSON.stringify(offered) === JSON.stringify(tasks)) return;
  tasks = offered;
  const select = byId("trial-model");
  const before = select.value;
  select.replaceChildren();
  for (const [task, words] of [["classify", "label a text"], ["summarize", "summarize"]]) {
    const names = models.filter((model) => model.task === task).map((model) => model.name);
    const options = names.map((name) => make("option", { value: name }, name));
    if (options.length) select.append(make("optgroup", { label: words }, ...options));
  }
  if (before in tasks) select.value = before;
  else choose("classify", "sentiment");
  showLimit();
}

/** Choose a model of that task: the preferred one, else the first there is. */
function choose(task, preferred) {
  const names = Object.keys(tasks).filter((name) => tasks[name] === task);
  if (names.includes(preferred)) byId("trial-model").value = preferred;
  else if (names.length) [byId("trial-model").value] = names;
  showLimit();
}

function showLimit() {
  byId("trial-limit").hidden = tasks[byId("trial-model").value] !== "summarize";
}

async function ask(event) {
  event.preventDefault();
  const mine = ++asked;
  const button = event.target.querySelector("[type=submit]");
  const model = byId("trial-model").value;
  const text = byId("trial-text").value;
  const summarizes = tasks[model] === "summarize";
  const body = { input: text, model };
  if (summarizes) body.max_sentences = byId("trial-sentences").valueAsNumber || 3;
  button.setAttribute("aria-disabled", "true");
  const shown = await answerTo(summarizes ? "v1/summarize" : "v1/classify", body, text);
  if (mine !== asked) return; // a later question has been asked meanwhile
  button.removeAttribute("aria-disabled");
  byId("answer").replaceChildren(...shown);
  byId("answer").querySelector("mark")?.parentElement.scrollTo({ top: 0 });
}

async function answerTo(route, body, text) {
  const headers = { "Content-Type": "application/json" };
  const key = byId("trial-key").value;
  if (byId("trial-patient").checked) headers["X-Request-Timeout-Ms"] = String(PATIENCE_MS);
  if (!/^[\x21-\x7e]*$/.test(key)) {
    return [problem("The key", "A key has printable ASCII characters alone, and no spaces.", [])];
  }
  if (key) headers.Authorization = `Bearer ${key}`;
  const begun = performance.now();
  let response;
  let content;
  try {
    response = await fetch(route, { method: "POST", headers, body: JSON.stringify(body) });
    content = await response.text();
  } catch {
    return [problem("No answer", "The service cannot be reached from here.", [])];
  }
  const took = performance.now() - begun;
  let answer;
  try {
    answer = JSON.parse(content);
  } catch {
    return [problem(`${response.status}`, content.slice(0, 500) || "The answer is empty.", [])];
  }
  if (!response.ok) return [problemOf(response, answer)];
  const times = make("p", { class: "note" }, timing(response, took));
  return [...(route === "v1/summarize" ? summary(answer, text) : labels(answer)), times];
}

function problemOf(response, answer) {
  const more = (answer.errors ?? []).map((item) => `${item.field}: ${item.message}`);
  if (answer.retry_after_seconds) more.push(`Try again after ${answer.retry_after_seconds} s.`);
  if (answer.request_id) more.push(`Request id: ${answer.request_id}`);
  return problem(`${response.status}: ${answer.title}`, answer.detail, more);
}

function problem(title, detail, more) {
  const lines = more.map((line) => make("p", {}, line));
  return make("div", { class: "problem" }, make("h3", {}, title), make("p", {}, detail), ...lines);
}

function labels(answer) {
  const [result] = answer.results;
  const label = Array.isArray(result.label) ? result.label.join(", ") || "no label" : result.label;
  // A regression has one label, whose score is a value and no probability.
  const only = result.scores.length === 1;
  const figure = (score) => (only ? `${score}` : `${(100 * score).toFixed(1)} %`);
  const rows = result.scores.map((item) => [item.label, item.score, figure(item.score)]);
  const tokens = `${result.tokens} tokens${result.truncated ? "; the rest was cut off" : ""}`;
  return [
    make("h3", {}, label),
    bars(rows),
    make("p", { class: "note" }, `${answer.model}, version ${answer.version}; ${tokens}`),
  ];
}

function summary(answer, text) {
  const [result] = answer.results;
  const sentences = result.sentences.map((sentence) => make("li", {}, sentence.text));
  const kept = `${sentences.length} of ${result.source_sentences} sentences, ${result.tokens} tokens`;
  const about = { class: "source", tabindex: "0", role: "region", "aria-label": "The source" };
  return [
    make("h3", {}, "Summary"),
    make("ul", {}, ...sentences),
    make("h3", {}, "In the source"),
    make("div", about, ...highlighted(text, result.sentences)),
    make("p", { class: "note" }, `${answer.model}, version ${answer.version}; ${kept}`),
  ];
}

/** The text with its summary marked. Offsets count code points; JavaScript counts UTF-16 units. */
function highlighted(text, sentences) {
  const points = Array.from(text);
  const slice = (start, end) => points.slice(start, end).join("");
  const parts = [];
  let end = 0;
  for (const sentence of sentences) {
    parts.push(slice(end, sentence.start));
    const title = `score ${sentence.score.toFixed(3)}`;
    parts.push(make("mark", { title }, slice(sentence.start, sentence.end)));
    end = sentence.end;
  }
  return [...parts, slice(end)];
}

function timing(response, took) {
  const stages = (response.headers.get("Server-Timing") ?? "").split(", ").filter(Boolean);
  const words = stages.map((stage) => {
    const [name, time] = stage.split(";dur=");
    return `${name} ${ms(Number(time))}`;
  });
  return `The service: ${words.join(", ")}. Here: ${ms(took)}.`;
}

byId("trial").addEventListener("submit", ask);
byId("trial-model").addEventListener("change", showLimit);
for (const button of document.querySelectorAll("[data-example]")) {
  button.addEventListener("click", () => {
    const [task, text] = EXAMPLES[button.dataset.example];
    byId("trial-text").value = text;
    if (tasks[byId("trial-model").value] !== task) {
      choose(task, task === "classify" ? "sentiment" : "contracts");
    }
  });
}
