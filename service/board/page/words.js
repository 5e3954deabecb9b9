// Figures as people read them.

/** Milliseconds; seconds from one second on. */
export function ms(value) {
  if (value === null) return "–";
  if (value > 0 && value < 0.05) return "< 0.1 ms";
  if (value >= 999.5) return `${(value / 1000).toFixed(value < 9995 ? 2 : 1)} s`;
  return `${value.toFixed(value < 9.95 ? 1 : 0)} ms`;
}

/** A percentile from buckets: above the last edge only that much is known. */
export function percentile(value, topEdge) {
  return value !== null && value >= topEdge ? `over ${ms(topEdge)}` : ms(value);
}

export const count = (value) => Math.round(value).toLocaleString("en");

export function rate(perSecond) {
  return perSecond >= 99.5 ? count(perSecond) : perSecond.toFixed(perSecond < 9.95 ? 2 : 1);
}

/** A share in percent, which is never rounded to none or to all. */
export function share(part, whole) {
  const percent = (100 * part) / whole;
  if (part > 0 && percent < 0.01) return "under 0.01 %";
  if (part < whole && percent > 99.99) return "over 99.99 %";
  return `${percent.toFixed(percent > 0 && percent < 10 ? 2 : 1)} %`;
}

export function duration(seconds) {
  if (seconds < 100) return `${Math.round(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

export const RESTARTS = {
  triton_died: "it ended",
  model_died: "the process of a model ended",
  supervisor_died: "the process that keeps it ended",
  hung: "it hung",
  start_failed: "a start failed",
};

export const REASONS = {
  predicted: "predicted to be late",
  late: "late after all",
  inflight_tokens: "no room: too much in flight",
  queue: "Triton’s queue",
};
