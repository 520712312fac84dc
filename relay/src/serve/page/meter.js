// Rates now, and traffic of the last hour.

/** Milliseconds over which a rate is taken: calm, and still of this moment. */
const WINDOW = 3000;
/** Length and number of the bins of the last hour. */
const BIN = 120;
const BINS = 30;

/** Counts of a peer, or of the whole relay: between peers and with the relay itself. */
export function countsOf({ relayed, host, dropped }) {
  return {
    rxBytes: relayed.rxBytes + host.rxBytes,
    txBytes: relayed.txBytes + host.txBytes,
    rxPackets: relayed.rxPackets + host.rxPackets,
    txPackets: relayed.txPackets + host.txPackets,
    dropped: Object.values(dropped).reduce((sum, count) => sum + count, 0),
  };
}

function hasFallen(before, now) {
  return before !== now && Object.keys(now).some((key) => now[key] < before[key]);
}

/** What a meter knows: counts at times, from which rates follow. */
export class Meter {
  #samples = [];

  /** Takes counts read at a time in Unix milliseconds. */
  feed(time, counts) {
    const last = this.#samples.at(-1);
    // A relay that was taken down counts from 0 again.
    if (last && hasFallen(last.counts, counts)) this.reset();
    this.#samples.push({ time, counts });
    while (this.#samples.length > 2 && this.#samples[1].time <= time - WINDOW) {
      this.#samples.shift();
    }
  }

  /** Forgets what was fed: what comes next says nothing about the time between. */
  reset() {
    this.#samples = [];
  }

  /** A count each second; `null` after fewer than two readings. */
  rate(key) {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (!first || last.time <= first.time) return null;
    return ((last.counts[key] - first.counts[key]) * 1000) / (last.time - first.time);
  }

  /** The latest counts. */
  get counts() {
    return this.#samples.at(-1)?.counts;
  }
}

/** Bytes of the last hour, both ways, in bins of two minutes. */
export class LastHour {
  #bins = new Float64Array(BINS);
  #last = 0;
  /** When the history was last read, Unix milliseconds. */
  readAt = -Infinity;

  /** Counts bytes at a time in Unix milliseconds. */
  add(time, bytes) {
    this.#turn(time);
    if (bytes > 0) this.#bins[this.#last % BINS] += bytes;
  }

  /** Takes a series of /api/v1/history. */
  read(time, { from, stepSeconds }, series) {
    this.#turn(time);
    this.#bins.fill(0);
    series.rxBytes.forEach((rx, step) => {
      const bin = Math.floor((from + step * stepSeconds) / BIN);
      if (bin <= this.#last - BINS || bin > this.#last) return;
      this.#bins[bin % BINS] += (rx ?? 0) + (series.txBytes[step] ?? 0);
    });
    this.readAt = time;
  }

  /** Bytes a second of each bin, the oldest first; the one that is not over is left out. */
  rates() {
    const rates = [];
    for (let bin = this.#last - BINS + 1; bin < this.#last; bin += 1) {
      rates.push(bin < 0 ? 0 : this.#bins[bin % BINS] / BIN);
    }
    return rates;
  }

  #turn(time) {
    const bin = Math.floor(time / 1000 / BIN);
    const passed = Math.min(BINS, bin - this.#last);
    for (let step = 1; step <= passed; step += 1) this.#bins[(bin - passed + step) % BINS] = 0;
    this.#last = Math.max(this.#last, bin);
  }
}
