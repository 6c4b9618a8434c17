/**
 * What every rule of the grammar needs: spans, reports, the bound on nesting, and human words for what was
 * expected.
 */
import './object-group-by.ts';
import {
  createTokenInstance,
  EmbeddedActionsParser,
  EOF,
  type IParserErrorMessageProvider,
  type IToken,
  isRecognitionException,
  type TokenType,
} from 'chevrotain';
import type { Span } from '../diagnostics/diagnostic.ts';
import { type Problem, problemAt, tokenSpan } from './problem.ts';
import { marks, reserved, vocabulary } from './tokens.ts';
import type { Identifier } from './tree.ts';

/**
 * How deep expressions, types and sizes may nest within one another, parentheses not counted; and counted:
 * what the stack of any host takes. There may be twice as many, since the formatter puts a pair around any
 * operand for clarity.
 */
export const maximumNesting = 120;
const maximumParenthesized = 2 * maximumNesting;
/**
 * How many operands, prefixes or calls may follow one another: they nest in the tree, though not in the text.
 */
export const maximumChain = 1000;

/** Thrown out of the parser, which leaves its rules at any depth; caught in `parse.ts`. */
export class NestingError extends Error {
  readonly token: IToken;
  constructor(token: IToken, message: string) {
    super(message);
    this.token = token;
  }
}

/** Only the part after "expected": the rest depends on what was found, which `syntax-error.ts` knows. */
const expectations: IParserErrorMessageProvider = {
  buildMismatchTokenMessage: ({ expected, previous }) => `${describe(expected)}${after(previous)}`,
  buildNoViableAltMessage: ({ customUserDescription, previous }) =>
    `${customUserDescription ?? 'something else'}${after(previous)}`,
  buildEarlyExitMessage: ({ customUserDescription, previous }) =>
    `${customUserDescription ?? 'more'}${after(previous)}`,
  buildNotAllInputParsedMessage: () => 'the end of the declaration',
};

function describe(type: TokenType): string {
  return type.LABEL ?? type.name;
}

function after(previous: IToken | undefined): string {
  return previous === undefined || Number.isNaN(previous.startOffset) ? '' : ` after \`${previous.image}\``;
}

/** What a list between brackets consists of: see `commaList`. */
export interface CommaList<T> {
  readonly element: () => T;
  readonly close: TokenType;
  /** What an element is called where one is expected. */
  readonly what: string;
}

export class GrammarBase extends EmbeddedActionsParser {
  /** The path of the file, for spans. */
  file = '';
  /** What is wrong but does not stop the parser. */
  problems: Problem[] = [];
  private nesting = 0;
  private parentheses = 0;

  constructor(validate: boolean) {
    super([...vocabulary], {
      maxLookahead: 1,
      recoveryEnabled: false,
      nodeLocationTracking: 'none',
      errorMessageProvider: expectations,
      skipValidations: !validate,
    });
  }

  /** Before each use: chevrotain's own state is reset by setting `input`. */
  begin(file: string, tokens: readonly IToken[]): void {
    this.file = file;
    this.problems = [];
    this.nesting = 0;
    this.parentheses = 0;
    this.input = [...tokens, endOf(tokens)];
  }

  protected enter(): void {
    this.nesting += 1;
    if (this.nesting - this.parentheses > maximumNesting || this.nesting > maximumParenthesized) {
      throw new NestingError(this.LA(1), `this is nested more than ${maximumNesting} deep`);
    }
  }

  protected leave(): void {
    this.nesting -= 1;
  }

  protected enterParentheses(): void {
    this.parentheses += 1;
  }

  protected leaveParentheses(): void {
    this.parentheses -= 1;
  }

  /** For what nests without brackets: operands, prefixes, calls of calls. */
  protected boundChain(length: number): void {
    if (length > maximumChain) {
      throw new NestingError(this.LA(1), `these are more than ${maximumChain} in a row`);
    }
  }

  protected atEnd(): boolean {
    return this.LA(1).tokenType === EOF;
  }

  /**
   * What `parse` makes, or undefined where the text is no such thing: then the parser stands at the next
   * `let` or closing brace of this block, or at the end of the declaration.
   */
  protected attempt<T>(parse: () => T, resumeAt: 'let' | 'end'): T | undefined {
    const { nesting, parentheses } = this;
    try {
      return parse();
    } catch (error) {
      if (!(error instanceof Error) || !isRecognitionException(error)) throw error;
      this.nesting = nesting;
      this.parentheses = parentheses;
      this.skip(resumeAt);
      return undefined;
    }
  }

  private skip(resumeAt: 'let' | 'end'): void {
    for (let depth = 0; !this.atEnd(); this.SKIP_TOKEN()) {
      const { tokenType } = this.LA(1);
      if (tokenType === marks.leftBrace) depth += 1;
      if (resumeAt === 'end') continue;
      if (depth === 0 && (tokenType === reserved.let || tokenType === marks.rightBrace)) return;
      if (tokenType === marks.rightBrace) depth -= 1;
    }
  }

  protected report(problem: Problem): void {
    this.problems.push(problem);
  }

  /** From the first character of `first` to the last of what was consumed. */
  protected spanFrom(first: IToken): Span {
    return this.spanFromOffset(first.startOffset);
  }

  protected spanFromOffset(start: number): Span {
    const last = this.LA(0);
    return { file: this.file, start, end: last.startOffset + last.image.length };
  }

  protected named(token: IToken): Identifier {
    return { name: token.image, span: tokenSpan(token, this.file) };
  }

  protected reportFraction(token: IToken): void {
    this.report(
      problemAt('E0109', token, this.file, 'a size is a whole number', {
        help: ['write it without a point and an exponent'],
      }),
    );
  }

  protected reportExpected(token: IToken, expected: string, help: string): void {
    this.report(
      problemAt('E0101', token, this.file, `expected ${expected}, found \`${token.image}\``, {
        help: [help],
      }),
    );
  }

  /** The value of a literal, which is reported when too large for what it is. */
  protected checkedNumber(token: IToken): string {
    const value = Number(token.image);
    const whole = /^\d+$/.test(token.image);
    const largest = whole ? Number.MAX_SAFE_INTEGER : largestF32;
    if (value <= largest) return token.image;
    if (Number.isNaN(value)) return '0';
    this.report(
      problemAt('E0106', token, this.file, `this number is too large${whole ? '' : ' for f32'}`, {
        label: `the largest is ${largest}`,
        help: [whole ? 'write it with a point if it is a float' : 'write `inf` for infinity'],
      }),
    );
    return '0';
  }

  /**
   * `element, element, …` up to and with the closing bracket; a comma may stand before the bracket. Once in a
   * rule.
   */
  protected commaList<T>({ element, close, what }: CommaList<T>): T[] {
    const elements: T[] = [];
    let mayGoOn = true;
    this.MANY8({
      GATE: () => mayGoOn && this.LA(1).tokenType !== close,
      DEF: () => {
        elements.push(element());
        mayGoOn = this.OPTION8(() => this.CONSUME8(marks.comma)) !== undefined;
      },
    });
    this.CONSUME8(close, { ERR_MSG: `${mayGoOn ? what : '`,`'} or ${describe(close)}` });
    return elements;
  }
}

/** Where something is missing at the end, it is missing right behind the last token. */
function endOf(tokens: readonly IToken[]): IToken {
  const last = tokens.at(-1);
  const offset = last === undefined ? 0 : last.startOffset + last.image.length;
  return createTokenInstance(EOF, '', offset, offset, Number.NaN, Number.NaN, Number.NaN, Number.NaN);
}

const largestF32 = 3.4028234663852886e38;
