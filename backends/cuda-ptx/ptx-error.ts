import type { Place } from './ptx.ts';

/** A text that is not PTX, or PTX that is not supported: what, and where in the text. */
export class PtxError extends Error {
  readonly place: Place;

  constructor(message: string, place: Place) {
    super(message);
    this.name = 'PtxError';
    this.place = place;
  }
}
