/** Expressions, the patterns that bind names, and blocks, which parse on after an error. */
import type { IToken, ParserMethod } from 'chevrotain';
import { is } from './classify.ts';
import { TypeGrammar } from './grammar-types.ts';
import { climb, type Operand } from './operators.ts';
import { problem, problemAt, tokenSpan } from './problem.ts';
import { asSize } from './sizes.ts';
import {
  binaryOperator,
  callParen,
  contextual,
  identifier,
  marks,
  numberLiteral,
  prefixOperator,
  reductionHead,
  reserved,
  ringHead,
  subscriptBracket,
  word,
} from './tokens.ts';
import type {
  Argument,
  Binding,
  Expression,
  Identifier,
  IndexPattern,
  LetPattern,
  ReductionName,
  SizeExpression,
  Subscript,
} from './tree.ts';

type Kind<K extends Expression['kind']> = Extract<Expression, { kind: K }>;
type SingleIndex = Extract<IndexPattern, { kind: 'index' }>;

/** What stands in a block: bindings, and last its result. */
type Item =
  | { readonly kind: 'binding'; readonly first: IToken; readonly binding: Binding }
  | { readonly kind: 'result'; readonly first: IToken; readonly result: Expression }
  | { readonly kind: 'broken'; readonly first: IToken };

export class ExpressionGrammar extends TypeGrammar {
  readonly expression: ParserMethod<[], Expression> = this.RULE('expression', (): Expression => {
    this.ACTION(() => this.enter());
    const operands = [this.SUBRULE(this.operand)];
    const operators: IToken[] = [];
    this.MANY(() => {
      operators.push(this.CONSUME(binaryOperator));
      this.ACTION(() => this.boundChain(operators.length));
      operands.push(this.SUBRULE2(this.operand));
    });
    this.ACTION(() => this.leave());
    return this.ACTION(() => climb(operands, operators, this.file, (found) => this.report(found)));
  });

  private readonly operand: ParserMethod<[], Operand> = this.RULE('operand', (): Operand => {
    const prefixes: IToken[] = [];
    this.MANY(() => {
      prefixes.push(this.CONSUME(prefixOperator));
      this.ACTION(() => this.boundChain(prefixes.length));
    });
    return { prefixes, atom: this.SUBRULE(this.postfix) };
  });

  /** Calls, subscripts, fields and placements, however many in a row. */
  private readonly postfix: ParserMethod<[], Expression> = this.RULE('postfix', (): Expression => {
    let value = this.SUBRULE(this.atom);
    let length = 0;
    this.MANY(() => {
      this.ACTION(() => this.boundChain(++length));
      value = this.OR<Expression>([
        { ALT: () => this.SUBRULE(this.call, { ARGS: [value] }) },
        { ALT: () => this.SUBRULE(this.subscript, { ARGS: [value] }) },
        { ALT: () => this.SUBRULE(this.field, { ARGS: [value] }) },
        { ALT: () => this.SUBRULE(this.reshard, { ARGS: [value] }) },
      ]);
    });
    return value;
  });

  private readonly atom: ParserMethod<[], Expression> = this.RULE(
    'atom',
    (): Expression =>
      this.OR<Expression>({
        DEF: [
          { ALT: () => this.numberValue(this.CONSUME(numberLiteral)) },
          { ALT: () => this.booleanValue(this.CONSUME(reserved.true)) },
          { ALT: () => this.booleanValue(this.CONSUME(reserved.false)) },
          { ALT: () => this.nameValue(this.CONSUME(identifier)) },
          { ALT: () => this.SUBRULE(this.parenthesized) },
          { ALT: () => this.SUBRULE(this.block) },
          { ALT: () => this.SUBRULE(this.comprehension) },
          { ALT: () => this.SUBRULE(this.reduction) },
          { ALT: () => this.SUBRULE(this.choice) },
          { ALT: () => this.SUBRULE(this.loop) },
          { ALT: () => this.SUBRULE(this.perDevice) },
          { ALT: () => this.SUBRULE(this.ring) },
        ],
        ERR_MSG: 'an expression',
      }),
  );

  private numberValue(token: IToken): Expression {
    const text = this.ACTION(() => this.checkedNumber(token));
    return { kind: 'number', text, span: tokenSpan(token, this.file) };
  }

  private booleanValue(token: IToken): Expression {
    return { kind: 'boolean', value: token.tokenType === reserved.true, span: tokenSpan(token, this.file) };
  }

  private nameValue(token: IToken): Expression {
    return { kind: 'name', name: token.image, span: tokenSpan(token, this.file) };
  }

  /** `(a)` is `a` and its span takes in the parentheses; `(a, b)` and `(a,)` are tuples. */
  private readonly parenthesized: ParserMethod<[], Expression> = this.RULE(
    'parenthesized',
    (): Expression => {
      const open = this.CONSUME(marks.leftParen);
      this.ACTION(() => this.enterParentheses());
      const elements = [this.SUBRULE(this.expression)];
      this.MANY({
        GATE: () => !is(this.LA(2), marks.rightParen),
        DEF: () => {
          this.CONSUME(marks.comma);
          elements.push(this.SUBRULE2(this.expression));
        },
      });
      const comma = this.OPTION(() => this.CONSUME2(marks.comma));
      this.CONSUME(marks.rightParen, { ERR_MSG: '`,` or `)`' });
      this.ACTION(() => this.leaveParentheses());
      return this.ACTION((): Expression => {
        const span = this.spanFrom(open);
        const [only] = elements;
        return only !== undefined && elements.length === 1 && comma === undefined
          ? { ...only, span }
          : { kind: 'tuple', elements, span };
      });
    },
  );

  // ── behind a value ───────────────────────────────────────────────────────────────────────────────────────

  private readonly call: ParserMethod<[Expression], Expression> = this.RULE(
    'call',
    (called: Expression): Expression => {
      this.CONSUME(callParen);
      const given = this.commaList({
        element: () => this.SUBRULE(this.argument),
        close: marks.rightParen,
        what: 'an argument',
      });
      return this.ACTION((): Expression => {
        const { callee, sizes } = this.calleeOf(called);
        const span = this.spanFromOffset(called.span.start);
        return { kind: 'call', callee, sizes, arguments: given, span };
      });
    },
  );

  /** `f` of `f(x)`; `f` and the sizes of `f[K](x)`; `grad(f)` of `grad(f)(x)`. */
  private calleeOf(called: Expression): { callee: Expression; sizes: readonly SizeExpression[] } {
    const bracketed = called.kind === 'subscript' ? called : undefined;
    const callee = bracketed?.base ?? called;
    const isCallable = isFunctionName(callee) || (callee.kind === 'call' && isGrad(callee.callee));
    if (!isCallable) {
      this.report(
        problem('E0110', called.span, 'this cannot be called: functions are called by their names', {
          help: ['put a space or a new line before the `(` if it starts something else'],
        }),
      );
    }
    return { callee, sizes: bracketed?.subscripts.flatMap((each) => this.sizeAt(each)) ?? [] };
  }

  private sizeAt(subscript: Subscript): SizeExpression[] {
    const found = subscript.kind === 'whole' ? { culprit: subscript } : asSize(subscript.value);
    if ('size' in found) return [found.size];
    this.report(
      problem('E0109', found.culprit.span, 'this is not a size', {
        help: ['a size is made of whole numbers, names and `+ - * /`'],
      }),
    );
    return [];
  }

  /** `x`, `scale: x`, `S -> G` */
  private readonly argument: ParserMethod<[], Argument> = this.RULE('argument', (): Argument => {
    const first = this.LA(1);
    const name = this.OPTION({
      GATE: () => is(this.LA(2), marks.colon),
      DEF: (): Identifier => {
        const token = this.CONSUME(word);
        this.CONSUME(marks.colon);
        return this.named(token);
      },
    });
    const value = this.SUBRULE(this.expression);
    const to = this.OPTION2(() => {
      this.CONSUME(marks.arrow, { ERR_MSG: '`->`' });
      return this.SUBRULE(this.size);
    });
    return this.ACTION((): Argument => {
      const span = this.spanFrom(first);
      if (to === undefined) return { kind: 'value', name, value, span };
      const from = this.sizeAt({ kind: 'at', value, span: value.span })[0];
      return from === undefined ? { kind: 'value', name, value, span } : { kind: 'move', from, to, span };
    });
  });

  private readonly subscript: ParserMethod<[Expression], Expression> = this.RULE(
    'subscript',
    (base: Expression): Expression => {
      this.CONSUME(subscriptBracket);
      const subscripts = this.commaList({
        element: () => this.SUBRULE(this.place),
        close: marks.rightBracket,
        what: 'an index or `:`',
      });
      return this.ACTION(() => ({
        kind: 'subscript',
        base,
        subscripts,
        span: this.spanFromOffset(base.span.start),
      }));
    },
  );

  private readonly place: ParserMethod<[], Subscript> = this.RULE(
    'place',
    (): Subscript =>
      this.OR<Subscript>({
        DEF: [
          { ALT: () => ({ kind: 'whole', span: tokenSpan(this.CONSUME(marks.colon), this.file) }) },
          {
            ALT: () => {
              const value = this.SUBRULE(this.expression);
              return this.ACTION(() => ({ kind: 'at', value, span: value.span }));
            },
          },
        ],
        ERR_MSG: 'an index or `:`',
      }),
  );

  private readonly field: ParserMethod<[Expression], Expression> = this.RULE(
    'field',
    (base: Expression): Expression => {
      this.CONSUME(marks.dot);
      const name = this.CONSUME(word);
      return this.ACTION(() => ({
        kind: 'field',
        base,
        name: this.named(name),
        span: this.spanFromOffset(base.span.start),
      }));
    },
  );

  private readonly reshard: ParserMethod<[Expression], Expression> = this.RULE(
    'reshard',
    (value: Expression): Expression => {
      this.CONSUME(reserved.as);
      const dims = this.SUBRULE(this.dims);
      const pending = this.OPTION(() => this.SUBRULE(this.pending)) ?? [];
      return this.ACTION(() => ({
        kind: 'reshard',
        value,
        dims,
        pending,
        span: this.spanFromOffset(value.span.start),
      }));
    },
  );

  // ── what reaches as far right as it can ──────────────────────────────────────────────────────────────────

  private readonly comprehension: ParserMethod<[], Expression> = this.RULE(
    'comprehension',
    (): Expression => {
      const first = this.CONSUME(reserved.for);
      const indices = this.SUBRULE(this.indices);
      this.CONSUME(marks.colon, { ERR_MSG: '`:` and the body' });
      const body = this.SUBRULE(this.expression);
      return { kind: 'comprehension', indices, body, span: this.spanFrom(first) };
    },
  );

  private readonly reduction: ParserMethod<[], Expression> = this.RULE('reduction', (): Expression => {
    const first = this.CONSUME(reductionHead);
    const indices = this.SUBRULE(this.indices);
    this.CONSUME(marks.colon, { ERR_MSG: '`:` and the body' });
    const body = this.SUBRULE(this.expression);
    const reduction = first.image as ReductionName;
    return { kind: 'reduction', reduction, indices, body, span: this.spanFrom(first) };
  });

  private readonly choice: ParserMethod<[], Expression> = this.RULE('choice', (): Expression => {
    const first = this.CONSUME(reserved.if);
    const condition = this.SUBRULE(this.expression);
    this.CONSUME(reserved.then);
    // biome-ignore lint/suspicious/noThenProperty: the tree calls the branch so; nothing awaits a tree
    const branches = { then: this.SUBRULE2(this.expression) };
    this.CONSUME(reserved.else);
    const otherwise = this.SUBRULE3(this.expression);
    return { kind: 'if', condition, ...branches, otherwise, span: this.spanFrom(first) };
  });

  /** `fold layer in layers from h = x: …`, `scan i < N from s = s0: …` */
  private readonly loop: ParserMethod<[], Expression> = this.RULE('loop', (): Expression => {
    const first = this.OR([
      { ALT: () => this.CONSUME(reserved.fold) },
      { ALT: () => this.CONSUME(reserved.scan) },
    ]);
    const items = this.SUBRULE(this.loopItems);
    this.CONSUME(contextual.from, { ERR_MSG: '`from` and the state' });
    const state = this.SUBRULE(this.pattern);
    this.CONSUME(marks.assign, { ERR_MSG: '`=` and the first state' });
    const initial = this.SUBRULE(this.expression);
    this.CONSUME(marks.colon, { ERR_MSG: '`:` and the body' });
    const body = this.SUBRULE2(this.expression);
    const loop = first.tokenType === reserved.fold ? 'fold' : 'scan';
    return { kind: 'loop', loop, items, state, initial, body, span: this.spanFrom(first) };
  });

  private readonly loopItems: ParserMethod<[], Kind<'loop'>['items']> = this.RULE(
    'loopItems',
    (): Kind<'loop'>['items'] => {
      const pattern = this.SUBRULE(this.pattern);
      return this.OR<Kind<'loop'>['items']>({
        DEF: [
          {
            ALT: () => {
              this.CONSUME(reserved.in);
              return { kind: 'rows', pattern, sequence: this.SUBRULE(this.expression) };
            },
          },
          {
            GATE: () => pattern.kind === 'name',
            ALT: () => {
              this.CONSUME(marks.less);
              const bound = this.SUBRULE(this.size);
              return { kind: 'count', index: this.ACTION(() => nameOf(pattern)), bound };
            },
          },
        ],
        ERR_MSG: '`in` and what to go through, or `<` and a size',
      });
    },
  );

  private readonly perDevice: ParserMethod<[], Expression> = this.RULE('perDevice', (): Expression => {
    const first = this.CONSUME(reserved.per_device);
    const axes = this.SUBRULE(this.axes);
    const captures = this.SUBRULE(this.names);
    const body = this.SUBRULE(this.block);
    return { kind: 'perDevice', axes, captures, body, span: this.spanFrom(first) };
  });

  private readonly ring: ParserMethod<[], Expression> = this.RULE('ring', (): Expression => {
    const first = this.CONSUME(ringHead);
    const axis = this.named(this.CONSUME(identifier));
    const travelling = this.SUBRULE(this.names);
    this.CONSUME(contextual.from, { ERR_MSG: '`from` and the state' });
    const state = this.SUBRULE(this.pattern);
    this.CONSUME(marks.assign, { ERR_MSG: '`=` and the first state' });
    const initial = this.SUBRULE(this.expression);
    const source = this.OPTION(() => {
      this.CONSUME(contextual.at);
      return this.named(this.CONSUME2(identifier));
    });
    const body = this.SUBRULE(this.block);
    return { kind: 'ring', axis, travelling, state, initial, source, body, span: this.spanFrom(first) };
  });

  // ── what binds names ─────────────────────────────────────────────────────────────────────────────────────

  /** `i, (g, r), j < N` */
  private readonly indices: ParserMethod<[], IndexPattern[]> = this.RULE('indices', (): IndexPattern[] => {
    const indices: IndexPattern[] = [];
    this.AT_LEAST_ONE_SEP({
      SEP: marks.comma,
      DEF: () => {
        indices.push(this.SUBRULE(this.index));
      },
      ERR_MSG: 'an index',
    });
    return indices;
  });

  private readonly index: ParserMethod<[], IndexPattern> = this.RULE(
    'index',
    (): IndexPattern =>
      this.OR<IndexPattern>({
        DEF: [
          { ALT: () => this.SUBRULE(this.singleIndex) },
          {
            ALT: () => {
              const open = this.CONSUME(marks.leftParen);
              const parts = this.commaList({
                element: () => this.SUBRULE2(this.singleIndex),
                close: marks.rightParen,
                what: 'an index',
              });
              return { kind: 'tuple', parts, span: this.spanFrom(open) };
            },
          },
        ],
        ERR_MSG: 'an index or `(index, …)`',
      }),
  );

  private readonly singleIndex: ParserMethod<[], SingleIndex> = this.RULE('singleIndex', (): SingleIndex => {
    const name = this.CONSUME(identifier, { ERR_MSG: 'the name of an index' });
    const bound = this.OPTION(() => {
      this.CONSUME(marks.less);
      return this.SUBRULE(this.size);
    });
    return { kind: 'index', name: this.named(name), bound, span: this.spanFrom(name) };
  });

  /** `x`, `h[f]`, `(a, b)` */
  private readonly pattern: ParserMethod<[], LetPattern> = this.RULE('pattern', (): LetPattern => {
    this.ACTION(() => this.enter());
    const pattern = this.OR<LetPattern>({
      DEF: [
        { ALT: () => this.SUBRULE(this.namePattern) },
        {
          ALT: () => {
            const open = this.CONSUME(marks.leftParen);
            const elements = this.commaList({
              element: () => this.SUBRULE(this.pattern),
              close: marks.rightParen,
              what: 'a name',
            });
            return { kind: 'tuple', elements, span: this.spanFrom(open) };
          },
        },
      ],
      ERR_MSG: 'a name, `name[index]` or `(name, …)`',
    });
    this.ACTION(() => this.leave());
    return pattern;
  });

  private readonly namePattern: ParserMethod<[], LetPattern> = this.RULE('namePattern', (): LetPattern => {
    const token = this.CONSUME(identifier);
    const indices = this.OPTION(() => {
      this.CONSUME(subscriptBracket);
      return this.commaList({
        element: () => this.SUBRULE(this.index),
        close: marks.rightBracket,
        what: 'an index',
      });
    });
    const name = this.named(token);
    const span = this.spanFrom(token);
    return indices === undefined ? { kind: 'name', name, span } : { kind: 'element', name, indices, span };
  });

  protected readonly binding: ParserMethod<[], Binding> = this.RULE('binding', (): Binding => {
    const first = this.CONSUME(reserved.let);
    const pattern = this.SUBRULE(this.pattern);
    const type = this.OPTION(() => {
      this.CONSUME(marks.colon);
      return this.SUBRULE(this.type);
    });
    this.CONSUME(marks.assign, { ERR_MSG: '`=` and a value' });
    const value = this.SUBRULE(this.expression);
    return { pattern, type, value, span: this.spanFrom(first) };
  });

  // ── blocks ───────────────────────────────────────────────────────────────────────────────────────────────

  readonly block: ParserMethod<[], Expression> = this.RULE('block', (): Expression => {
    this.ACTION(() => this.enter());
    const open = this.CONSUME(marks.leftBrace, { ERR_MSG: '`{` and a block' });
    const items: Item[] = [];
    this.MANY({
      GATE: () => !is(this.LA(1), marks.rightBrace) && !this.atEnd(),
      DEF: () => {
        const first = this.LA(1);
        const item = this.attempt(() => this.SUBRULE(this.item), 'let');
        items.push(item ?? { kind: 'broken', first });
      },
    });
    this.CONSUME(marks.rightBrace, { ERR_MSG: 'an expression, `let` or `}`' });
    this.ACTION(() => this.leave());
    return this.ACTION(() => this.blockOf(open, items));
  });

  private readonly item: ParserMethod<[], Item> = this.RULE('item', (): Item => {
    const first = this.LA(1);
    return this.OR<Item>({
      DEF: [
        { ALT: () => ({ kind: 'binding', first, binding: this.SUBRULE(this.binding) }) },
        { ALT: () => ({ kind: 'result', first, result: this.SUBRULE(this.expression) }) },
      ],
      ERR_MSG: 'an expression, `let` or `}`',
    });
  });

  /** One result, and last: the first item behind a result is reported. */
  private blockOf(open: IToken, items: readonly Item[]): Expression {
    const span = this.spanFrom(open);
    const bindings = items.flatMap((item) => (item.kind === 'binding' ? [item.binding] : []));
    const place = items.findIndex(({ kind }) => kind === 'result');
    const isBroken = items.some(({ kind }) => kind === 'broken');
    const found = items[place];
    const behind = items[place + 1];
    if (found?.kind === 'result' && behind !== undefined && !isBroken) {
      this.reportBehindResult(behind.first, found);
    }
    if (found === undefined && !isBroken) this.reportNoResult(bindings.at(-1));
    const result: Expression =
      found?.kind === 'result' && behind === undefined ? found.result : { kind: 'error', span };
    return { kind: 'block', bindings, result, span };
  }

  private reportBehindResult(token: IToken, { result }: Extract<Item, { kind: 'result' }>): void {
    const isReturn = result.kind === 'name' && result.name === 'return';
    const leaveOut = 'leave `return` out: the last expression of a block is its value';
    this.report(
      problemAt('E0101', token, this.file, `unexpected \`${token.image}\`: the block already has its value`, {
        secondary: [
          { span: result.span, message: isReturn ? '`return` is a name here' : 'this is its value' },
        ],
        help: isReturn
          ? [leaveOut]
          : ['a block is `let`s and then one expression; did you mean `let` or an operator?'],
        fixes: isReturn ? [{ message: leaveOut, edits: [{ span: result.span, text: '' }] }] : [],
      }),
    );
  }

  /** A value that begins with a minus goes on where the last `let` ended: line breaks mean nothing. */
  private reportNoResult(last: Binding | undefined): void {
    const taken = last && lastSubtraction(last.value);
    this.report(
      problemAt('E0113', this.LA(0), this.file, 'this block has no value', {
        secondary: taken ? [{ span: taken.right.span, message: 'subtracted in the last `let`' }] : [],
        help: [
          'end it with the expression that is its value',
          ...(taken
            ? ['if that is what is subtracted here, write it with its minus in parentheses: (-x)']
            : []),
        ],
      }),
    );
  }
}

/** The last `left - right` of a chain of operators. */
function lastSubtraction(expression: Expression): Extract<Expression, { kind: 'binary' }> | undefined {
  if (expression.kind !== 'binary') return undefined;
  return expression.operator === '-' ? expression : lastSubtraction(expression.left);
}

function isFunctionName(expression: Expression): boolean {
  return expression.kind === 'name' || (expression.kind === 'field' && expression.base.kind === 'name');
}

function isGrad(callee: Expression): boolean {
  return callee.kind === 'name' && callee.name === 'grad';
}

function nameOf(pattern: LetPattern): Identifier {
  if (pattern.kind === 'name') return pattern.name;
  throw new Error('the gate of this alternative lets names through only');
}
