// Durations with units: "800ms", "2s", "15m", "1h".

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** @returns {number} milliseconds */
export function duration(text) {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text);
  if (!match) throw new Error(`expected a duration such as 800ms or 2s, got ${JSON.stringify(text)}`);
  return Number(match[1]) * UNITS[match[2]];
}
