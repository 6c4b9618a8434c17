/**
 * The words through which threads take part in a kernel. The caller opens a kernel, everyone takes workgroups
 * by counting `next` up, and it is closed: who takes part then is waited for, who comes later finds it
 * closed. So nobody waits for a thread that has not woken up.
 */
export const control = {
  /** Counts kernels; sleepers wait for it to change. */
  turn: 0,
  /** Whether there is a kernel to take part in. */
  open: 1,
  /** Counts the times that a thread was done; the caller sleeps until it changes. */
  left: 2,
  /** The first workgroup that nobody has taken. */
  next: 3,
  end: 4,
  /** Workgroups to take at a time. */
  grain: 5,
  kernel: 6,
  failed: 7,
  argumentCount: 8,
  /** How many threads have started. */
  started: 9,
  arguments: 10,
} as const;

/** Tensors, loops and coordinates that one kernel may have. */
export const mostArguments = 502;

export function controlBytes(): number {
  return 4 * (control.arguments + mostArguments);
}
