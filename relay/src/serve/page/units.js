// Numbers as `relay stats` prints them (relay/src/units.rs).

const BYTES = ["KiB", "MiB", "GiB", "TiB"];

/** Bytes, in the largest binary unit of which there is at least one. */
export function bytes(count) {
  let shown = `${Math.trunc(count)} B`;
  let scale = 1;
  for (const unit of BYTES) {
    scale *= 1024;
    if (count < scale) break;
    shown = `${(Math.trunc((count * 100) / scale) / 100).toFixed(2)} ${unit}`;
  }
  return shown;
}

/** A count with its noun: `1 packet`, `2 packets`. */
export function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** How long ago, in words. */
export function ago(seconds) {
  return seconds === 0 ? "now" : `${span(seconds)} ago`;
}

/** Seconds, in words. */
export function span(seconds) {
  const units = [
    [86400, "day"],
    [3600, "hour"],
    [60, "minute"],
    [1, "second"],
  ];
  const parts = [];
  for (const [size, name] of units) {
    const count = Math.floor(seconds / size);
    seconds %= size;
    if (count > 0) parts.push(counted(count, name));
  }
  return parts.join(", ") || "0 seconds";
}

/** A duration in its two largest units: `1d 2h`, `3m 4s`, `5s`. */
export function clock(seconds) {
  const units = [
    [86400, "d"],
    [3600, "h"],
    [60, "m"],
    [1, "s"],
  ];
  let first = units.findIndex(([size]) => seconds >= size);
  if (first < 0) first = units.length - 1;
  const parts = [];
  for (const [size, unit] of units.slice(first, first + 2)) {
    const count = Math.floor(seconds / size);
    seconds %= size;
    if (count > 0 || parts.length === 0) parts.push(`${count}${unit}`);
  }
  return parts.join(" ");
}

/** A rate of things: `0`, `2.5`, `26`. */
export function number(rate) {
  if (rate === 0) return "0";
  return rate < 10 ? rate.toFixed(1) : rate.toFixed(0);
}

/** A share in per cent, rounded down. */
export function percent(part, whole) {
  return Math.floor((part * 100) / Math.max(whole, 1));
}

/** The time of day of Unix milliseconds, where the reader is. */
export function timeOfDay(ms) {
  return new Date(ms).toLocaleTimeString([], { hour12: false });
}

/** Date and time of Unix milliseconds, where the reader is. */
export function dateTime(ms) {
  const at = new Date(ms);
  const two = (value) => String(value).padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}
