/** Names, sizes, dims, placements and types. */
import type { IToken, ParserMethod } from 'chevrotain';
import { GrammarBase } from './grammar-base.ts';
import { tokenSpan } from './problem.ts';
import {
  contextual,
  identifier,
  marks,
  numberLiteral,
  pendingBrace,
  reductionHead,
  sizeFactorOperator,
  sizeTermOperator,
  typeName,
} from './tokens.ts';
import type {
  DimExpression,
  Identifier,
  Path,
  PendingExpression,
  PlacementExpression,
  SizeExpression,
  TypeExpression,
} from './tree.ts';

export class TypeGrammar extends GrammarBase {
  protected readonly size: ParserMethod<[], SizeExpression> = this.RULE('size', (): SizeExpression => {
    this.ACTION(() => this.enter());
    let left = this.SUBRULE(this.sizeProduct);
    let length = 0;
    this.MANY(() => {
      length += 1;
      this.ACTION(() => this.boundChain(length));
      const operator = this.CONSUME(sizeTermOperator);
      const right = this.SUBRULE2(this.sizeProduct);
      left = this.ACTION(() => this.binarySize(left, operator, right));
    });
    this.ACTION(() => this.leave());
    return left;
  });

  private readonly sizeProduct: ParserMethod<[], SizeExpression> = this.RULE(
    'sizeProduct',
    (): SizeExpression => {
      let left = this.SUBRULE(this.sizeAtom);
      let length = 0;
      this.MANY(() => {
        length += 1;
        this.ACTION(() => this.boundChain(length));
        const operator = this.CONSUME(sizeFactorOperator);
        const right = this.SUBRULE2(this.sizeAtom);
        left = this.ACTION(() => this.binarySize(left, operator, right));
      });
      return left;
    },
  );

  private readonly sizeAtom: ParserMethod<[], SizeExpression> = this.RULE(
    'sizeAtom',
    (): SizeExpression =>
      this.OR({
        DEF: [
          { ALT: () => this.naturalSize(this.CONSUME(numberLiteral)) },
          { ALT: () => this.nameSize(this.CONSUME(identifier)) },
          {
            ALT: () => {
              const open = this.CONSUME(marks.leftParen);
              const inner = this.SUBRULE(this.size);
              this.CONSUME(marks.rightParen);
              return this.ACTION(() => ({ ...inner, span: this.spanFrom(open) }));
            },
          },
        ],
        ERR_MSG: 'a size',
      }),
  );

  /** A whole number; what else a number may be is reported. */
  private naturalSize(token: IToken): SizeExpression {
    const text = this.ACTION(() => this.checkedNumber(token));
    const whole = this.ACTION(() => /^\d+$/.test(text));
    if (whole === false) this.ACTION(() => this.reportFraction(token));
    return { kind: 'natural', value: whole ? Number(text) : 0, span: tokenSpan(token, this.file) };
  }

  private nameSize(token: IToken): SizeExpression {
    return { kind: 'name', name: token.image, span: tokenSpan(token, this.file) };
  }

  private binarySize(left: SizeExpression, operator: IToken, right: SizeExpression): SizeExpression {
    return {
      kind: 'binary',
      operator: operator.image as '+' | '-' | '*' | '/',
      left,
      right,
      span: { file: this.file, start: left.span.start, end: right.span.end },
    };
  }

  /** `a.b` or `b` */
  protected readonly path: ParserMethod<[], Path> = this.RULE('path', (): Path => {
    const first = this.CONSUME(typeName, { ERR_MSG: 'a type' });
    let name = first;
    let qualifier: IToken | undefined;
    this.OPTION(() => {
      this.CONSUME(marks.dot);
      name = this.CONSUME2(identifier);
      qualifier = first;
    });
    return {
      qualifier: qualifier && this.named(qualifier),
      name: this.named(name),
      span: this.spanFrom(first),
    };
  });

  readonly type: ParserMethod<[], TypeExpression> = this.RULE('type', (): TypeExpression => {
    this.ACTION(() => this.enter());
    const type = this.OR({
      DEF: [{ ALT: () => this.SUBRULE(this.tupleType) }, { ALT: () => this.SUBRULE(this.namedType) }],
      ERR_MSG: 'a type',
    });
    this.ACTION(() => this.leave());
    return type;
  });

  private readonly namedType: ParserMethod<[], TypeExpression> = this.RULE(
    'namedType',
    (): TypeExpression => {
      const first = this.LA(1);
      const path = this.SUBRULE(this.path);
      const sizes = this.OPTION(() => this.SUBRULE(this.typeSizes)) ?? [];
      const dims = this.OPTION2(() => this.SUBRULE(this.dims)) ?? [];
      const pending = this.OPTION3(() => this.SUBRULE(this.pending)) ?? [];
      return { kind: 'named', path, sizes, dims, pending, span: this.spanFrom(first) };
    },
  );

  private readonly typeSizes: ParserMethod<[], SizeExpression[]> = this.RULE(
    'typeSizes',
    (): SizeExpression[] => {
      this.CONSUME(marks.leftParen);
      return this.commaList({
        element: () => this.SUBRULE(this.size),
        close: marks.rightParen,
        what: 'a size',
      });
    },
  );

  private readonly tupleType: ParserMethod<[], TypeExpression> = this.RULE(
    'tupleType',
    (): TypeExpression => {
      const open = this.CONSUME(marks.leftParen);
      const elements = [this.SUBRULE(this.type)];
      this.MANY({
        GATE: () => this.LA(2).tokenType !== marks.rightParen,
        DEF: () => {
          this.CONSUME(marks.comma);
          elements.push(this.SUBRULE2(this.type));
        },
      });
      this.OPTION(() => this.CONSUME2(marks.comma));
      this.CONSUME(marks.rightParen, { ERR_MSG: '`,` or `)` in a tuple of types' });
      return this.ACTION(() => {
        const span = this.spanFrom(open);
        return elements.length === 1 ? { ...elements[0]!, span } : { kind: 'tuple', elements, span };
      });
    },
  );

  /** `[S@sp, D]` */
  protected readonly dims: ParserMethod<[], DimExpression[]> = this.RULE('dims', (): DimExpression[] => {
    this.CONSUME(marks.leftBracket);
    return this.commaList({
      element: () => this.SUBRULE(this.dim),
      close: marks.rightBracket,
      what: 'a size',
    });
  });

  private readonly dim: ParserMethod<[], DimExpression> = this.RULE('dim', (): DimExpression => {
    const first = this.LA(1);
    const size = this.SUBRULE(this.size);
    const placement = this.OPTION(() => {
      this.CONSUME(marks.at);
      return this.SUBRULE(this.placement);
    }) ?? { kind: 'none' };
    return { size, placement, span: this.spanFrom(first) };
  });

  private readonly placement: ParserMethod<[], PlacementExpression> = this.RULE(
    'placement',
    (): PlacementExpression =>
      this.OR<PlacementExpression>({
        DEF: [
          {
            ALT: () => {
              const hole = this.CONSUME(marks.hole);
              return { kind: 'hole', span: tokenSpan(hole, this.file) };
            },
          },
          { ALT: () => ({ kind: 'axes', axes: this.SUBRULE(this.axes) }) },
        ],
        ERR_MSG: 'a mesh axis, `(axis, …)` or `?`',
      }),
  );

  /** `sp` or `(node, gpu)` */
  protected readonly axes: ParserMethod<[], Identifier[]> = this.RULE('axes', (): Identifier[] =>
    this.OR({
      DEF: [{ ALT: () => [this.named(this.CONSUME(identifier))] }, { ALT: () => this.SUBRULE(this.names) }],
      ERR_MSG: 'a mesh axis or `(axis, …)`',
    }),
  );

  /** `(a, b)` */
  protected readonly names: ParserMethod<[], Identifier[]> = this.RULE('names', (): Identifier[] => {
    this.CONSUME(marks.leftParen);
    return this.commaList({
      element: () => this.named(this.CONSUME(identifier)),
      close: marks.rightParen,
      what: 'a name',
    });
  });

  /** `{+tp}`, `{max sp, max tp}` */
  protected readonly pending: ParserMethod<[], PendingExpression[]> = this.RULE(
    'pending',
    (): PendingExpression[] => {
      this.CONSUME(pendingBrace);
      return this.commaList({
        element: () => this.SUBRULE(this.pendingAxis),
        close: marks.rightBrace,
        what: '`+`, `max` or `min` and a mesh axis',
      });
    },
  );

  private readonly pendingAxis: ParserMethod<[], PendingExpression> = this.RULE(
    'pendingAxis',
    (): PendingExpression => {
      const reduction = this.OR<PendingExpression['reduction']>({
        DEF: [
          {
            ALT: () => {
              this.CONSUME(marks.plus);
              return 'sum';
            },
          },
          {
            ALT: () => {
              this.CONSUME(contextual.max);
              return 'max';
            },
          },
          {
            ALT: () => {
              this.CONSUME(contextual.min);
              return 'min';
            },
          },
          {
            // `max sp, ` looks like the head of a reduction over two indices.
            GATE: () => ['max', 'min'].includes(this.LA(1).image),
            ALT: () => (this.CONSUME(reductionHead).image === 'min' ? 'min' : 'max'),
          },
        ],
        ERR_MSG: '`+`, `max` or `min` and a mesh axis',
      });
      return { reduction, axis: this.named(this.CONSUME(identifier)) };
    },
  );
}
