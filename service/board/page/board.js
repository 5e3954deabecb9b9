// Fetches the numbers as often as they are sampled, and shows them.

import { LineChart } from "./charts.js";
import { bars, byId, make, say } from "./dom.js";
import { offer } from "./trial.js";
import { REASONS, RESTARTS, count, duration, ms, percentile, rate, share } from "./words.js";

const FETCH_TIMEOUT_MS = 4000;
const FIRST_ASK_MS = 1000;
// So many samples late, and numbers are called old.
const LATE_SAMPLES = 3;

let board = null;
let arrived = 0; // when the sample that is shown came, by the clock of this page
let lost = ""; // why the last fetch failed
let restarted = false;

const charts = {
  latency: new LineChart(
    byId("latency-chart"),
    ["p50_ms", "p99_ms"],
    (row) => `${when(row)}: ${row.p99_ms === null ? "no answers" : `P50 ${top(row.p50_ms)}, P99 ${top(row.p99_ms)}`}`,
    (value) => ms(value).replace(/\.0 /, " "),
  ),
  rate: new LineChart(
    byId("rate-chart"),
    ["interactive_per_second", "bulk_per_second", "refused_per_second"],
    (row) => `${when(row)}: interactive ${rate(row.interactive_per_second)}/s, ` +
      `bulk ${rate(row.bulk_per_second)}/s, refused ${rate(row.refused_per_second)}/s`,
    (value) => String(Number(value.toPrecision(3))),
  ),
};

const top = (value) => percentile(value, board.top_edge_ms);
const clock = (moment) => new Date(moment).toLocaleString();
const when = (row) => (row.ago_seconds ? `${duration(row.ago_seconds)} ago` : "Newest sample");

async function refresh() {
  try {
    const signal = AbortSignal.timeout(FETCH_TIMEOUT_MS);
    const response = await fetch("v1/board", { signal, cache: "no-store" });
    if (!response.ok) throw new Error(`it answers ${response.status}`);
    take(await response.json());
    lost = "";
  } catch (error) {
    lost = error.name === "TimeoutError" ? "it does not answer in time" : error.message;
  }
  show();
}

function take(next) {
  if (board?.started_at !== next.started_at || board.sample !== next.sample) arrived = Date.now();
  if (board !== null && board.started_at !== next.started_at) restarted = true;
  board = next;
}

function show() {
  showState();
  if (board === null) return;
  const chosen = Number(document.querySelector("[name=window]:checked").value);
  const window = board.windows.find((item) => item.seconds === chosen);
  const short = window.covered_seconds < 0.9 * window.seconds;
  say(byId("covered"), short ? `since the start, ${duration(window.covered_seconds)} ago` : "");
  showInteractive(window);
  showBulk(window);
  showCharts(window);
  showRefused(window);
  showStages(window);
  showCalls(window);
  showModels(window);
  showRestarts();
  offer(board.models, board.keys_needed);
}

function showState() {
  const alarms = [];
  const ageSeconds = (Date.now() - arrived) / 1000;
  const old = board !== null && ageSeconds > LATE_SAMPLES * board.sample_seconds;
  if (board === null && lost) alarms.push(`The service cannot be reached: ${lost}.`);
  else if (old || lost) {
    const since = new Date(arrived).toLocaleTimeString();
    const why = lost ? `the service cannot be reached (${lost})` : "the service takes no samples";
    alarms.push(`These numbers are old: ${why}. They are from ${since}.`);
  }
  if (board?.triton_answers === false) {
    const { fault } = board.models[0];
    const why = fault && board.models.every((model) => model.fault === fault) ? ` (${fault})` : "";
    alarms.push(`Triton does not answer${why}. Requests that need a model fail with 503.`);
  } else {
    const silent = board?.models.filter((model) => model.answers === false) ?? [];
    for (const model of silent) alarms.push(`${model.name} does not answer: ${model.fault}`);
  }
  const shown = Array.from(byId("alarms").children, (element) => element.textContent);
  if (JSON.stringify(shown) !== JSON.stringify(alarms)) {
    byId("alarms").replaceChildren(...alarms.map((text) => make("p", { class: "alarm" }, text)));
  }
  say(byId("state"), board === null ? (lost ? "No numbers." : "Asking for the numbers …") : stateWords(old));
}

function stateWords(old) {
  if (old || lost) return "Old numbers.";
  const words = [];
  const asked = board.models.filter((model) => model.answers !== null);
  const answering = asked.filter((model) => model.answers);
  if (!asked.length) words.push("Asking the models whether they answer …");
  else words.push(`${answering.length} of ${board.models.length} models answer.`);
  const started = clock(board.started_at);
  words.push(`${restarted ? "Restarted" : "Running since"} ${started}.`);
  if (board.restarts?.last_at) words.push(`Triton started anew ${clock(board.restarts.last_at)}.`);
  return words.join(" ");
}

function tile(name, value, note, mood = "") {
  const list = make("dl", {}, make("dt", {}, name), make("dd", {}, value));
  return make("div", { class: `tile ${mood}` }, list, make("p", {}, note));
}

function showInteractive(window) {
  const { interactive } = window;
  const promise = `${board.promise_ms} ms`;
  const accepted = interactive.answered + interactive.failed;
  const timed = (name, value) => {
    if (value === null) return tile(name, "no answers", "in this window", "none");
    const kept = value <= board.promise_ms;
    return tile(name, top(value), kept ? `within ${promise}` : `over the ${promise}`, kept ? "good" : "bad");
  };
  byId("interactive").replaceChildren(
    timed("P50", interactive.p50_ms),
    timed("P99", interactive.p99_ms),
    missedTile(interactive, accepted, promise),
    rateTile(interactive, window),
    refusedTile(interactive),
  );
  document.querySelector(".key.promise").textContent = `${promise}, the promise`;
  const exact = "The share over the promise is counted, not interpolated: 50 ms is an edge of a bucket.";
  say(byId("exactness"), board.promise_ms === 50 ? exact : "The share over the promise is interpolated too, where that is no edge of a bucket.");
}

function missedTile({ missed, failed }, accepted, promise) {
  const name = `Over ${promise} or failed`;
  if (!accepted) return tile(name, "no answers", "in this window", "none");
  if (missed === null) return tile(name, "not known", "the promise lies above all buckets", "none");
  const words = `${count(missed)} of ${count(accepted)} accepted${failed ? `, ${count(failed)} failed` : ""}`;
  // One in a hundred is the whole budget: docs/operating.md.
  return tile(name, share(missed, accepted), words, missed > 0.01 * accepted ? "bad" : "good");
}

function rateTile(traffic, window) {
  if (!traffic.requests) return tile("Rate", "no requests", "in this window", "none");
  const other = traffic.other ? `, ${count(traffic.other)} faulty or given up` : "";
  const seconds = Math.max(window.covered_seconds, board.sample_seconds);
  return tile("Rate", `${rate(traffic.requests / seconds)}/s`, `${count(traffic.requests)} requests${other}`);
}

function refusedTile({ refused, requests }) {
  if (!requests) return tile("Refused", "no requests", "in this window", "none");
  return tile("Refused", share(refused, requests), `${count(refused)} of ${count(requests)} got 429`, refused ? "bad" : "good");
}

function showBulk(window) {
  const { bulk } = window;
  const timed = (name, value) => (value === null ? tile(name, "no answers", "in this window", "none") : tile(name, top(value), "has no promise"));
  const { now } = board;
  byId("bulk").replaceChildren(
    rateTile(bulk, window),
    timed("P50", bulk.p50_ms),
    timed("P99", bulk.p99_ms),
    bulk.requests
      ? tile("Refused or failed", count(bulk.refused + bulk.failed), `${count(bulk.refused)} refused, ${count(bulk.failed)} failed`, bulk.refused + bulk.failed ? "bad" : "good")
      : tile("Refused or failed", "no requests", "in this window", "none"),
    tile("In flight now", count(now.inflight), `predicted wait ${ms(now.backlog_ms)}`),
    tile("Margin now", now.margin_ms ? ms(now.margin_ms) : "–", `kept free of the deadline; event loop late ${ms(now.loop_lag_ms)}`),
  );
}

function showCharts(window) {
  const { p99_ms: p99, p50_ms: p50 } = window.interactive;
  const span = `the last ${duration(window.seconds)}`;
  const times = p99 === null ? "no answers" : `P50 ${top(p50)}, P99 ${top(p99)}`;
  const latency = `Time of interactive answers, ${span}: ${times}; the promise is ${board.promise_ms} ms`;
  charts.latency.update(board.charts, window.seconds, latency, board.promise_ms);
  const counts = `${count(window.interactive.requests)} interactive, ${count(window.bulk.requests)} bulk`;
  const refused = count(window.interactive.refused + window.bulk.refused);
  charts.rate.update(board.charts, window.seconds, `Requests, ${span}: ${counts}, ${refused} refused`);
}

const nothing = (words) => make("p", { class: "nothing" }, words);

function showRefused(window) {
  const reasons = Object.entries(window.refused).sort((a, b) => b[1] - a[1]);
  const requests = window.interactive.requests + window.bulk.requests;
  const none = requests ? `None of ${count(requests)} requests was refused.` : "No requests in this window.";
  const rows = reasons.map(([reason, refused]) => [REASONS[reason] ?? reason, refused, count(refused)]);
  byId("refused").replaceChildren(rows.length ? bars(rows) : nothing(none));
}

function showStages(window) {
  const rows = window.stages.map((item) => [
    item.stage, item.mean_ms, `${ms(item.mean_ms)}, P99 ${top(item.p99_ms)}`,
  ]);
  const note = make("p", { class: "note" }, "Mean, and P99, of interactive and bulk requests together.");
  byId("stages").replaceChildren(...(rows.length ? [bars(rows), note] : [nothing("No requests in this window.")]));
}

function showCalls(window) {
  const { calls } = window;
  const rows = [];
  calls.rows.forEach((number, index) => {
    if (!number) return;
    const [low, high] = [(calls.edges[index - 1] ?? 0) + 1, calls.edges[index]];
    const name = high === undefined ? `${low} or more` : low === high ? `${low}` : `${low} to ${high}`;
    rows.push([name, number, share(number, calls.count)]);
  });
  const words = `${count(calls.count)} calls, ${calls.mean_rows?.toFixed(1)} rows in the mean; ` +
    `with padding ${calls.padding_ratio?.toFixed(2)} times the tokens.`;
  const note = make("p", { class: "note" }, words);
  byId("calls").replaceChildren(...(rows.length ? [bars(rows), note] : [nothing("No calls in this window.")]));
}

function showModels(window) {
  const labels = Array.from(document.querySelectorAll("#models thead th"), (cell) => cell.textContent);
  const rows = board.models.map((model) => {
    const traffic = window.models[model.name];
    const answers = { true: ["yes", "good-words"], false: ["no", "bad-words"], null: ["not asked yet", ""] }[model.answers];
    const cells = [
      [model.task], [model.version], [model.precision], [model.backend], answers,
      [count(traffic.requests)], [top(traffic.p50_ms)], [top(traffic.p99_ms)],
    ];
    const made = cells.map(([text, mood], index) => make("td", { "data-label": labels[index + 1], class: mood ?? "" }, text));
    return make("tr", {}, make("th", { scope: "row" }, model.name), ...made);
  });
  document.querySelector("#models tbody").replaceChildren(...rows);
}

function showRestarts() {
  const { restarts } = board;
  byId("restarts").hidden = restarts === null;
  if (restarts === null) return;
  byId("restarts").className = restarts.last_at ? "notice" : "note";
  say(byId("restarts"), restartWords(restarts));
}

function restartWords({ reasons, last_reason: reason, last_at: at }) {
  if (at === null) return "Triton has not been started anew since the service started.";
  const because = (name) => RESTARTS[name] ?? name;
  const all = Object.entries(reasons);
  const total = all.reduce((sum, [, number]) => sum + number, 0);
  const last = `${clock(at)}: ${because(reason)}.`;
  if (total === 1) return `Triton was started anew once since the service started, ${last}`;
  const each = all.map(([name, number]) => `${because(name)} (${count(number)})`).join(", ");
  return `Triton was started anew ${count(total)} times since the service started, the last time ${last} In all: ${each}.`;
}

/** Again once a sample is due; nobody is asked for a page that nobody sees. */
async function keepFresh() {
  if (!document.hidden) await refresh();
  const asking = board === null || board.triton_answers === null;
  const waitMs = asking ? FIRST_ASK_MS : 1000 * board.sample_seconds;
  setTimeout(keepFresh, waitMs);
}

document.addEventListener("visibilitychange", () => document.hidden || refresh());
for (const input of document.querySelectorAll("[name=window]")) input.addEventListener("change", show);
keepFresh();
