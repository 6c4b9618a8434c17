/**
 * The few shapes that everything is laid out in: lists in brackets, lines under one another, parts of one
 * whole.
 */
import {
  choice,
  type Doc,
  group,
  hardLine,
  indent,
  isHard,
  join,
  line,
  remark,
  softLine,
  whenBroken,
} from './document.ts';
import { type Comments, commentText, type Place } from './format-comments.ts';
import type { Comment } from './tree.ts';

/** Something that can have comments: above it, and behind it on its line. */
export interface Item {
  readonly place: Place;
  /** Built in the order of the source, as it takes the comments inside it. */
  readonly doc: () => Doc;
}

/** Comments on lines of their own, above what follows. */
export function above(comments: readonly Comment[]): Doc {
  return comments.map((comment) => [remark(commentText(comment)), hardLine]);
}

/** The first comment at the end of the line, more of them on lines of their own. */
function behind(comments: readonly Comment[]): Doc {
  return comments.map((comment, position) => [position === 0 ? ' ' : hardLine, remark(commentText(comment))]);
}

const betweenItems = /^[ \t)]*,?[ \t]*$/;
const behindLast = /^[ \t]*,?[ \t]*$/;

interface Elements {
  readonly items: readonly Item[];
  /** Where the list begins: earlier comments are not its own. */
  readonly from: number;
  /** Where it ends: comments up to there that come after the last element. */
  readonly until: number;
}

interface Brackets {
  readonly open: string;
  readonly close: string;
  /** What is inside the brackets on either side. */
  readonly padding: Doc;
  /** What is behind the last element. */
  readonly lastComma: Doc;
}

const trailingComma = whenBroken(',');
export const round: Brackets = { open: '(', close: ')', padding: softLine, lastComma: trailingComma };
export const square: Brackets = { open: '[', close: ']', padding: softLine, lastComma: trailingComma };
export const curly: Brackets = { open: '{', close: '}', padding: line, lastComma: trailingComma };
/** `(a,)`, as `(a)` is `a`. */
export const singleton: Brackets = { ...round, lastComma: ',' };

/** `a, b, c` in brackets; if they do not fit on a line, each on its own with a comma behind it. */
export function list(comments: Comments, brackets: Brackets, elements: Elements): Doc {
  const { open, close, padding, lastComma } = brackets;
  if (elements.items.length === 0) return [open, close];
  return group(open, indent(padding, lines(comments, elements, lastComma)), padding, close);
}

/** As `list`, of short items: if they do not fit on a line, as many as fit on each. */
export function filledList(comments: Comments, brackets: Brackets, { items, from, until }: Elements): Doc {
  const { open, close, padding, lastComma } = brackets;
  if (items.length === 0) return [open, close];
  let isBehindRemark = false;
  const elements = items.map(({ place, doc }, position) => {
    const leading = comments.before(place.start, from);
    const element = doc();
    const isLast = position === items.length - 1;
    const trailing = comments.through(place, from, isLast ? behindLast : betweenItems);
    const separator = isBehindRemark || leading.length > 0 ? hardLine : line;
    isBehindRemark = trailing.length > 0;
    // The break before an element is taken where the element and its comma do not fit.
    const own = [above(leading), element, isLast ? lastComma : ',', behind(trailing)];
    return position === 0 ? own : group(separator, own);
  });
  const rest = comments.before(until, from).map((comment) => [hardLine, remark(commentText(comment))]);
  return group(open, indent(padding, ...elements, ...rest), padding, close);
}

/**
 * `a, b, c` without brackets, behind a word. Comments behind the last are left to what follows, which is on
 * its line.
 */
export function bareList(comments: Comments, keyword: string, elements: Elements): Doc {
  return group(keyword, indent(line, lines(comments, elements)));
}

function lines(comments: Comments, { items, from, until }: Elements, lastComma?: Doc): Doc {
  const elements = items.map(({ place, doc }, position) => {
    const leading = above(comments.before(place.start, from));
    const element = doc();
    if (position < items.length - 1) {
      return [leading, element, ',', behind(comments.through(place, from, betweenItems))];
    }
    if (lastComma === undefined) return [leading, element];
    return [leading, element, lastComma, behind(comments.through(place, from, behindLast))];
  });
  if (lastComma === undefined) return join(line, elements);
  const rest = comments.before(until, from).map((comment) => [hardLine, remark(commentText(comment))]);
  return [...join(line, elements), ...rest];
}

/**
 * Part of an expression that may go on the next line: an operand with its operator, a branch with its word.
 */
export interface Part extends Item {
  readonly prefix: string;
}

export interface PartDoc {
  readonly doc: Doc;
  /** The comments behind it, on lines of their own from the second on. */
  readonly trailing: Doc;
  /** Whether it has no comments above and behind it. */
  readonly isAlone: boolean;
}

const behindPart = /^[ \t)]*(?:[-+*/%<>]|[=!<>~]==?|and|or|then|else)?[ \t]*$/;

/** All on one line, or every part but the first on a line of its own, set in. */
export function parts(comments: Comments, from: number, all: readonly Part[]): readonly PartDoc[] {
  return all.map(({ prefix, place, doc }, position) => {
    const leading = position === 0 ? [] : comments.before(place.start, from);
    const content = doc();
    const isLast = position === all.length - 1;
    const trailing = isLast ? [] : comments.through(place, from, behindPart);
    return {
      doc: [above(leading), prefix, content],
      trailing: behind(trailing),
      isAlone: leading.length === 0 && trailing.length === 0,
    };
  });
}

/** All on one line, or every part but the first on a line of its own, set in. */
export function setIn([first, ...others]: readonly PartDoc[]): Doc {
  const below = others.map(({ doc, trailing }) => [line, doc, trailing]);
  return group(first?.doc ?? '', indent(first?.trailing ?? '', ...below));
}

interface Lines extends Elements {
  /** Whether comments of this kind may stay behind an item on its line: all, if not given. */
  readonly mayTrail?: (comment: Comment) => boolean;
  /** Whether a blank line stands between two neighbours: where the author had one, if not given. */
  readonly isBlankBetween?: (neighbours: Neighbours) => boolean;
}

export interface Neighbours {
  readonly previous: Doc;
  /** The comments behind the previous item. */
  readonly trailing: readonly Comment[];
  /** The comments above the next item. */
  readonly leading: readonly Comment[];
  readonly next: Doc;
  readonly asWritten: boolean;
}

/**
 * One below the other, with at most one blank line where the author had any. One comment stays behind an
 * item; more of them, from inside it, go below, apart from what is said about the next.
 */
export function statements(comments: Comments, lines: Lines): Doc {
  const { items, from, until, mayTrail, isBlankBetween } = lines;
  const docs: Doc[] = [];
  let end = from;
  let above: Pick<Neighbours, 'previous' | 'trailing'> | undefined;
  let loose: readonly Comment[] = [];
  const addLine = (doc: Doc, place: Place, isBlank = comments.isBlankBetween(end, place.start)) => {
    if (docs.length > 0) docs.push(hardLine, isBlank ? hardLine : '');
    docs.push(doc);
    end = Math.max(end, place.end);
  };
  const addComments = (own: readonly Comment[], isBlank?: boolean) => {
    for (const [position, comment] of [...loose, ...own].entries()) {
      const isApart = loose.length > 0 && position === loose.length;
      addLine(remark(commentText(comment)), comment.span, position === 0 ? isBlank : isApart || undefined);
    }
  };
  for (const { place, doc } of items) {
    const own = comments.before(place.start, from);
    const next = doc();
    const behindIt = comments.through(place, from, /^[ \t]*$/, mayTrail);
    const leading = [...loose, ...own];
    const asWritten = comments.isBlankBetween(end, leading[0]?.span.start ?? place.start);
    const isBlank =
      above === undefined ? asWritten : isBlankBetween?.({ ...above, leading, next, asWritten });
    addComments(own, isBlank);
    const isApart = loose.length > 0 && own.length === 0;
    const trailing = behindIt.slice(0, 1);
    addLine([next, behind(trailing)], place, leading.length === 0 ? isBlank : isApart || undefined);
    end = Math.max(end, ...trailing.map(({ span }) => span.end));
    above = { previous: next, trailing };
    loose = behindIt.slice(1);
  }
  addComments(comments.before(until, from));
  return docs;
}

export interface Hanging {
  readonly head: Doc;
  readonly comments: readonly Comment[];
  readonly body: Doc;
  /** The body may begin on the line of the head and end on a later one: a block, and what ends in one. */
  readonly hugs: boolean;
}

/** `head body`, with the body on the next line and set in if it does not fit. */
export function hanging({ head, comments, body, hugs }: Hanging): Doc {
  const below = indent(hardLine, above(comments), body);
  if (comments.length > 0) return group(head, below);
  if (!isHard(body)) return group(head, indent(line, body));
  return hugs ? choice([head, ' ', body], [head, below]) : group(head, below);
}
