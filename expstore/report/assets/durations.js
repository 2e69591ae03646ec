// When a run ended and how long it ran, as `duration` in Python has it.

// When the last start of a run ended, as it says itself; null if it does not.
export const ended = (run) => run.starts.at(-1)?.ended ?? null;

// The seconds that a run was going, in all its starts; without any, from its creation to its last
// record. A start that did not end counts until now if it runs, else until the last record.
export function lasted(run) {
  if (!run.starts.length) return run.created === null || run.latest === null ? null : Math.max(run.latest - run.created, 0);
  let total = 0;
  for (const start of run.starts.slice(0, -1)) total += Math.max((start.ended ?? start.started) - start.started, 0);
  const last = run.starts.at(-1);
  const end = last.ended ?? (run.status === "running" ? Date.now() / 1000 : run.latest);
  return end === null ? total : total + Math.max(end - last.started, 0);
}
