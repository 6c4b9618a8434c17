/**
 * Comments on their way through the formatter. The tree is printed in the order of its source, and every
 * place that can hold a comment takes those that come before it: so each is printed once, in order, and none
 * is passed over.
 */
import type { Comment } from './tree.ts';

/** Where a part of the tree begins and ends in the old text. */
export interface Place {
  readonly start: number;
  readonly end: number;
}

export interface Comments {
  /**
   * The comments before `position` that are not printed yet, if one of them comes after `from`: comments that
   * lie before the part that begins there wait for a better place, unless they would be overtaken.
   */
  before(position: number, from: number): readonly Comment[];
  /**
   * The same up to the end of `place`, with those behind it on its line, where only `punctuation` stands
   * between.
   */
  through(
    place: Place,
    from: number,
    punctuation: RegExp,
    mayTrail?: (comment: Comment) => boolean,
  ): readonly Comment[];
  /** Whether the author left a blank line between the two positions. */
  isBlankBetween(start: number, end: number): boolean;
}

export function createComments(comments: readonly Comment[], text: string): Comments {
  let next = 0;

  const before = (position: number, from: number): readonly Comment[] => {
    let end = next;
    while (end < comments.length && comments[end]!.span.start < position) end += 1;
    if (end === next || comments[end - 1]!.span.start < from) return [];
    const taken = comments.slice(next, end);
    next = end;
    return taken;
  };

  const through: Comments['through'] = (place, from, punctuation, mayTrail = () => true) => {
    const inside = before(place.end, from);
    const behind = comments[next];
    if (behind === undefined || behind.span.start < place.end) return inside;
    if (!mayTrail(behind) || !punctuation.test(text.slice(place.end, behind.span.start))) return inside;
    next += 1;
    return [...inside, behind];
  };

  return {
    before,
    through,
    isBlankBetween: (start, end) => start < end && /\n[ \t\r]*\n/.test(text.slice(start, end)),
  };
}

const slashes = { comment: '//', documentation: '///' } as const;

export function commentText({ kind, text }: Comment): string {
  return `${slashes[kind]}${text.trimEnd()}`;
}
