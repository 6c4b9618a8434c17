/** Values that are written down: numbers, and lists, tuples and records of them. */
import type { IToken, ParserMethod } from 'chevrotain';
import { ExpressionGrammar } from './grammar-expressions.ts';
import { tokenSpan } from './problem.ts';
import { contextual, marks, numberLiteral, reserved, word } from './tokens.ts';
import type { DataExpression, DataField, SignedNumber } from './tree.ts';

type Data<K extends DataExpression['kind']> = Extract<DataExpression, { kind: K }>;

export class DataGrammar extends ExpressionGrammar {
  protected readonly data: ParserMethod<[], DataExpression> = this.RULE('data', (): DataExpression => {
    this.ACTION(() => this.enter());
    const data = this.OR<DataExpression>({
      DEF: [
        { ALT: () => this.SUBRULE(this.dataNumber) },
        { ALT: () => this.SUBRULE(this.dataBoolean) },
        { ALT: () => this.SUBRULE(this.dataList) },
        { ALT: () => this.SUBRULE(this.dataTuple) },
        { ALT: () => this.SUBRULE(this.dataRecord) },
      ],
      ERR_MSG: 'a number, `true`, `false`, `[`, `(` or `{`',
    });
    this.ACTION(() => this.leave());
    return data;
  });

  /** `1`, `-0.5`, `inf`, `-inf`, `nan` */
  private readonly dataNumber: ParserMethod<[], Data<'number'>> = this.RULE(
    'dataNumber',
    (): Data<'number'> =>
      this.OR<Data<'number'>>([
        {
          ALT: () => {
            const sign = this.CONSUME(marks.minus);
            const magnitude = this.SUBRULE(this.magnitude);
            return this.ACTION(() => ({
              ...magnitude,
              text: `-${magnitude.text}`,
              span: this.spanFrom(sign),
            }));
          },
        },
        { ALT: () => this.SUBRULE2(this.magnitude) },
        {
          ALT: () => {
            const token = this.CONSUME(contextual.nan);
            return { kind: 'number', text: token.image, span: tokenSpan(token, this.file) };
          },
        },
      ]),
  );

  private readonly magnitude: ParserMethod<[], Data<'number'>> = this.RULE(
    'magnitude',
    (): Data<'number'> =>
      this.OR<Data<'number'>>({
        DEF: [
          {
            ALT: () => {
              const token = this.CONSUME(numberLiteral);
              return this.ACTION(() => ({
                kind: 'number',
                text: this.checkedNumber(token),
                span: tokenSpan(token, this.file),
              }));
            },
          },
          {
            ALT: () => {
              const token = this.CONSUME(contextual.inf);
              return { kind: 'number', text: token.image, span: tokenSpan(token, this.file) };
            },
          },
        ],
        ERR_MSG: 'a number or `inf`',
      }),
  );

  private readonly dataBoolean: ParserMethod<[], Data<'boolean'>> = this.RULE(
    'dataBoolean',
    (): Data<'boolean'> =>
      this.OR<Data<'boolean'>>([
        { ALT: () => this.booleanOf(this.CONSUME(reserved.true)) },
        { ALT: () => this.booleanOf(this.CONSUME(reserved.false)) },
      ]),
  );

  private booleanOf(token: IToken): Data<'boolean'> {
    return { kind: 'boolean', value: token.image === 'true', span: tokenSpan(token, this.file) };
  }

  private readonly dataList: ParserMethod<[], Data<'list'>> = this.RULE('dataList', (): Data<'list'> => {
    const open = this.CONSUME(marks.leftBracket);
    const elements = this.commaList({
      element: () => this.SUBRULE(this.data),
      close: marks.rightBracket,
      what: 'a value',
    });
    return { kind: 'list', elements, span: this.spanFrom(open) };
  });

  private readonly dataTuple: ParserMethod<[], Data<'tuple'>> = this.RULE('dataTuple', (): Data<'tuple'> => {
    const open = this.CONSUME(marks.leftParen);
    const elements = this.commaList({
      element: () => this.SUBRULE(this.data),
      close: marks.rightParen,
      what: 'a value',
    });
    return { kind: 'tuple', elements, span: this.spanFrom(open) };
  });

  private readonly dataRecord: ParserMethod<[], Data<'record'>> = this.RULE(
    'dataRecord',
    (): Data<'record'> => {
      const open = this.CONSUME(marks.leftBrace);
      const fields = this.commaList({
        element: () => this.SUBRULE(this.dataField),
        close: marks.rightBrace,
        what: 'a field',
      });
      return { kind: 'record', fields, span: this.spanFrom(open) };
    },
  );

  private readonly dataField: ParserMethod<[], DataField> = this.RULE('dataField', (): DataField => {
    const name = this.CONSUME(word);
    this.CONSUME(marks.colon, { ERR_MSG: '`:` and the value of the field' });
    const value = this.SUBRULE(this.data);
    return { name: this.named(name), value, span: this.spanFrom(name) };
  });

  /** The end of a range of values. */
  protected readonly signedNumber: ParserMethod<[], SignedNumber> = this.RULE(
    'signedNumber',
    (): SignedNumber => {
      const sign = this.OPTION(() => this.CONSUME(marks.minus));
      const number = this.CONSUME(numberLiteral, { ERR_MSG: 'a number' });
      return this.ACTION(() => ({
        text: `${sign?.image ?? ''}${this.checkedNumber(number)}`,
        span: this.spanFrom(sign ?? number),
      }));
    },
  );
}
