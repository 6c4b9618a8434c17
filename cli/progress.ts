/**
 * How far long work has come. On a terminal one line, overwritten and in the end gone; elsewhere a line for
 * each stage that takes long, so that a log says what is going on and short work stays quiet.
 */
import type { TextStream } from './streams.ts';

export interface ProgressLine {
  readonly advance: (stage: string, done: number, total: number) => void;
  /** Takes the line off the terminal, for something else to be written. */
  readonly clear: () => void;
}

/** Milliseconds between two drawings of the line. */
const redrawAfter = 100;
/** Milliseconds after which a stage is worth a line in a log. */
const longAfter = 2000;
const eraseLine = '\r\x1b[2K';

/** @param now milliseconds, from any start. */
export function createProgress(stream: TextStream, now: () => number): ProgressLine {
  let stage = '';
  let started = 0;
  let drawn = Number.NEGATIVE_INFINITY;
  let logged = false;
  let shown = false;

  const clear = () => {
    if (shown) stream.write(eraseLine);
    shown = false;
  };
  const begin = (name: string) => {
    if (name === stage) return;
    [stage, started, logged, drawn] = [name, now(), false, Number.NEGATIVE_INFINITY];
  };
  const draw = (text: string) => {
    if (now() - drawn < redrawAfter) return;
    drawn = now();
    shown = true;
    stream.write(`${eraseLine}${text}`);
  };
  const log = (text: string) => {
    if (logged || now() - started < longAfter) return;
    logged = true;
    stream.write(`${text}\n`);
  };
  return {
    advance: (name, done, total) => {
      begin(name);
      if (done >= total) clear();
      else (stream.isTTY === true ? draw : log)(total > 1 ? `${stage}: ${done} of ${total}` : `${stage} …`);
    },
    clear,
  };
}
