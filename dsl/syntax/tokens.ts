/** The words and marks of the language, as chevrotain token types. */
import { createToken, Lexer, type TokenType } from 'chevrotain';
import { reductionNames, traitWords } from './tree.ts';

/** Anything that looks like a word: what may name a field or an argument, reserved or not. */
export const word = createToken({ name: 'Word', pattern: Lexer.NA, label: 'a name' });

/** What may name a type: behind it may stand a word, as in `x: f32 positive`, so heads are names here. */
export const typeName = createToken({ name: 'TypeName', pattern: Lexer.NA, label: 'a name' });

export const identifier = createToken({
  name: 'Identifier',
  pattern: /[A-Za-z_][A-Za-z0-9_]*/,
  label: 'a name',
  categories: [word, typeName],
});

/** Words that can name nothing but a field or an argument. */
const reservedWords = [
  'and',
  'as',
  'auto',
  'check',
  'else',
  'export',
  'false',
  'fn',
  'fold',
  'for',
  'forall',
  'given',
  'if',
  'import',
  'in',
  'let',
  'mesh',
  'module',
  'not',
  'or',
  'per_device',
  'property',
  'scan',
  'then',
  'true',
  'type',
  'where',
] as const;
export type ReservedWord = (typeof reservedWords)[number];

/** Words with a meaning in one place only; anywhere else they are names. */
export const contextualWords = [
  'at',
  'from',
  'inf',
  'label',
  'nan',
  'ring',
  'target',
  'within',
  ...traitWords,
  ...reductionNames,
] as const;
export type ContextualWord = (typeof contextualWords)[number];

// Operators belong to these categories; one token type may belong to several.
export const binaryOperator = createToken({
  name: 'BinaryOperator',
  pattern: Lexer.NA,
  label: 'an operator',
});
export const prefixOperator = createToken({
  name: 'PrefixOperator',
  pattern: Lexer.NA,
  label: 'an operator',
});
/** Operators between sizes of one precedence. */
export const sizeTermOperator = createToken({ name: 'SizeTermOperator', pattern: Lexer.NA });
export const sizeFactorOperator = createToken({ name: 'SizeFactorOperator', pattern: Lexer.NA });

const operatorWordCategories: { readonly [W in ReservedWord]?: readonly TokenType[] } = {
  and: [binaryOperator],
  or: [binaryOperator],
  not: [prefixOperator],
};

function wordToken(name: string, categories: readonly TokenType[]): TokenType {
  return createToken({
    name: `word ${name}`,
    pattern: new RegExp(name),
    label: `\`${name}\``,
    longer_alt: identifier,
    categories: [...categories],
  });
}

function wordTokens<W extends string>(
  words: readonly W[],
  categories: (name: W) => readonly TokenType[],
): { readonly [K in W]: TokenType } {
  return Object.fromEntries(words.map((name) => [name, wordToken(name, categories(name))])) as {
    readonly [K in W]: TokenType;
  };
}

/** The token type of each reserved word. */
export const reserved = wordTokens(reservedWords, (name) => [word, ...(operatorWordCategories[name] ?? [])]);
/** The token type of each contextual word. */
export const contextual = wordTokens(contextualWords, () => [identifier]);

function mark(text: string, ...categories: TokenType[]): TokenType {
  return createToken({ name: `mark ${text}`, pattern: text, label: `\`${text}\``, categories });
}

/** Longer marks before their prefixes: the lexer takes the first that matches. */
export const marks = {
  arrow: mark('->'),
  algebraic: mark('==='),
  numeric: mark('~='),
  equal: mark('==', binaryOperator),
  unequal: mark('!=', binaryOperator),
  atMost: mark('<=', binaryOperator),
  atLeast: mark('>=', binaryOperator),
  less: mark('<', binaryOperator),
  greater: mark('>', binaryOperator),
  plus: mark('+', binaryOperator, sizeTermOperator),
  minus: mark('-', binaryOperator, prefixOperator, sizeTermOperator),
  times: mark('*', binaryOperator, sizeFactorOperator),
  divide: mark('/', binaryOperator, sizeFactorOperator),
  modulo: mark('%', binaryOperator),
  assign: mark('='),
  range: mark('..'),
  dot: mark('.'),
  comma: mark(','),
  colon: mark(':'),
  at: mark('@'),
  hole: mark('?'),
  divides: mark('|'),
  leftParen: mark('('),
  rightParen: mark(')'),
  leftBracket: mark('['),
  rightBracket: mark(']'),
  leftBrace: mark('{'),
  rightBrace: mark('}'),
} as const;

// What `classify` turns some tokens into, from the tokens around them. The lexer makes none of these.
/** `(` right behind what it calls. */
export const callParen = createToken({
  name: 'CallParen',
  pattern: Lexer.NA,
  label: '`(`',
  categories: [marks.leftParen],
});
/** `[` right behind what it subscripts. */
export const subscriptBracket = createToken({
  name: 'SubscriptBracket',
  pattern: Lexer.NA,
  label: '`[`',
  categories: [marks.leftBracket],
});
/** `{` of `{+tp}`. */
export const pendingBrace = createToken({ name: 'PendingBrace', pattern: Lexer.NA, label: '`{`' });
/** `sum`, `max` … with indices behind it. */
export const reductionHead = createToken({
  name: 'ReductionHead',
  pattern: Lexer.NA,
  label: 'a reduction',
  categories: [typeName],
});
/** `ring` with an axis behind it. */
export const ringHead = createToken({
  name: 'RingHead',
  pattern: Lexer.NA,
  label: '`ring`',
  categories: [typeName],
});

/** A word character right behind a number makes the whole of it malformed. */
export const numberLiteral = createToken({
  name: 'Number',
  pattern: /\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?!\w|\.\d)/,
  label: 'a number',
});
export const malformedNumber = createToken({
  name: 'MalformedNumber',
  pattern: /\d\w*(?:\.\w+)*/,
  categories: [numberLiteral],
});

export const stringLiteral = createToken({
  name: 'String',
  pattern: /"[^"\r\n]*"/,
  label: 'a text in quotes',
});
export const unterminatedString = createToken({
  name: 'UnterminatedString',
  pattern: /"[^"\r\n]*/,
  categories: [stringLiteral],
});

/** Marks of other languages: lexed so that a message can say what to write instead. */
export const foreignMark = createToken({ name: 'Foreign', pattern: /&&|\|\||=>|\*\*|[!^&~\\'`$#]/ });

const blanks = /[ \t\r\n]+/y;
const blanksAtStart = /\uFEFF?[ \t\r\n]*/y;

/** Some editors begin a file with a byte order mark; anywhere else it is no white space. */
const whiteSpace = createToken({
  name: 'WhiteSpace',
  pattern: (text, offset) => {
    const pattern = offset === 0 ? blanksAtStart : blanks;
    pattern.lastIndex = offset;
    const match = pattern.exec(text);
    return match?.[0] === '' ? null : match;
  },
  start_chars_hint: [' ', '\t', '\r', '\n', '\uFEFF'],
  group: Lexer.SKIPPED,
  line_breaks: true,
});
const comment = createToken({ name: 'Comment', pattern: /\/\/[^\r\n]*/, group: 'comments' });
const semicolon = createToken({ name: 'Semicolon', pattern: /;/, group: 'semicolons' });

/** `forall` before `for`. */
function longerFirst(left: TokenType, right: TokenType): number {
  return right.name.length - left.name.length;
}

/** In the order in which the lexer tries them. */
const lexed: readonly TokenType[] = [
  whiteSpace,
  comment,
  semicolon,
  ...[...Object.values(reserved), ...Object.values(contextual)].sort(longerFirst),
  identifier,
  numberLiteral,
  malformedNumber,
  stringLiteral,
  unterminatedString,
  marks.algebraic,
  marks.numeric,
  marks.unequal,
  marks.equal,
  foreignMark,
  ...Object.values(marks).filter(
    (type) =>
      type !== marks.algebraic && type !== marks.numeric && type !== marks.unequal && type !== marks.equal,
  ),
];

/** What the parser has to know of: what is lexed, the categories, and what `classify` makes. */
export const vocabulary: readonly TokenType[] = [
  word,
  typeName,
  binaryOperator,
  prefixOperator,
  sizeTermOperator,
  sizeFactorOperator,
  callParen,
  subscriptBracket,
  pendingBrace,
  reductionHead,
  ringHead,
  ...lexed,
];

let lexer: Lexer | undefined;

/** The lexer, built when first asked for. */
export function theLexer(): Lexer {
  lexer ??= new Lexer([...lexed], { positionTracking: 'onlyOffset', ensureOptimizations: true });
  return lexer;
}
