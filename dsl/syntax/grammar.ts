/** Declarations: one call of `declaration` for each segment of a file. */
import type { IToken, ParserMethod } from 'chevrotain';
import type { Span } from '../diagnostics/diagnostic.ts';
import { is } from './classify.ts';
import { DataGrammar } from './grammar-data.ts';
import { tokenSpan } from './problem.ts';
import { contextual, identifier, marks, numberLiteral, reserved, stringLiteral, word } from './tokens.ts';
import type {
  Binding,
  Check,
  Condition,
  Declaration,
  Expression,
  Fact,
  FunctionDeclaration,
  Identifier,
  Import,
  MeshDeclaration,
  Parameter,
  PropertyDeclaration,
  Quantifier,
  RecordDeclaration,
  SizeExpression,
  TraitExpression,
  TraitWord,
} from './tree.ts';

/** A declaration without what stands around it: its documentation and `export`. */
type Exportable =
  | Omit<RecordDeclaration, 'exported' | 'documentation' | 'span'>
  | Omit<FunctionDeclaration, 'exported' | 'documentation' | 'span'>;

/** `module name` */
export interface ModuleName {
  readonly kind: 'module';
  readonly name: Identifier;
  readonly span: Span;
}

/** An interval of sizes, both ends included. */
interface Range {
  readonly from: SizeExpression;
  readonly to: SizeExpression;
}

export class Grammar extends DataGrammar {
  private documentation: string | undefined;

  /**
   * @param validate checks that one token of look-ahead decides everywhere: for tests, since it takes a
   * while.
   */
  constructor(validate = false) {
    super(validate);
    this.performSelfAnalysis();
  }

  /** @returns undefined where the text is no declaration; then there are `errors`. */
  parseDeclaration(
    file: string,
    tokens: readonly IToken[],
    documentation: string | undefined,
  ): Declaration | ModuleName | undefined {
    this.begin(file, tokens);
    this.documentation = documentation;
    return this.declaration();
  }

  readonly declaration: ParserMethod<[], Declaration | ModuleName> = this.RULE(
    'declaration',
    (): Declaration | ModuleName =>
      this.OR<Declaration | ModuleName>({
        DEF: [
          { ALT: () => this.SUBRULE(this.moduleName) },
          { ALT: () => this.SUBRULE(this.import) },
          { ALT: () => this.SUBRULE(this.mesh) },
          { ALT: () => this.SUBRULE(this.exportable) },
          { ALT: () => this.SUBRULE(this.property) },
        ],
        ERR_MSG: 'a declaration: `fn`, `type`, `import`, `mesh`, `property` or `export`',
      }),
  );

  private readonly moduleName: ParserMethod<[], ModuleName> = this.RULE('moduleName', (): ModuleName => {
    const first = this.CONSUME(reserved.module);
    const name = this.named(this.CONSUME(identifier));
    return { kind: 'module', name, span: this.spanFrom(first) };
  });

  /** `import attention (causal)`, `import "./block.ricci" as layer` */
  private readonly import: ParserMethod<[], Import> = this.RULE('import', (): Import => {
    const first = this.CONSUME(reserved.import);
    const from = this.OR<Import['from']>({
      DEF: [
        {
          ALT: () => {
            const token = this.CONSUME(identifier);
            return { kind: 'name', text: token.image, span: tokenSpan(token, this.file) };
          },
        },
        {
          ALT: () => {
            const token = this.CONSUME(stringLiteral);
            return { kind: 'file', text: unquoted(token), span: tokenSpan(token, this.file) };
          },
        },
      ],
      ERR_MSG: 'the name of a module or a file in quotes',
    });
    const alias = this.OPTION(() => {
      this.CONSUME(reserved.as);
      return this.named(this.CONSUME2(identifier));
    });
    const names = this.OPTION2(() => this.SUBRULE(this.names)) ?? [];
    return { kind: 'import', from, alias, names, span: this.spanFrom(first) };
  });

  private readonly mesh: ParserMethod<[], MeshDeclaration> = this.RULE('mesh', (): MeshDeclaration => {
    const first = this.CONSUME(reserved.mesh);
    const axes = this.SUBRULE(this.names);
    return { kind: 'mesh', axes, span: this.spanFrom(first) };
  });

  private readonly exportable: ParserMethod<[], Declaration> = this.RULE('exportable', (): Declaration => {
    const first = this.LA(1);
    const exported = this.OPTION(() => this.CONSUME(reserved.export)) !== undefined;
    const declared = this.OR<Exportable>({
      DEF: [{ ALT: () => this.SUBRULE(this.record) }, { ALT: () => this.SUBRULE(this.function) }],
      ERR_MSG: '`fn`, `auto fn` or `type`',
    });
    const { documentation } = this;
    return { ...declared, exported, documentation, span: this.spanFrom(first) };
  });

  private readonly record: ParserMethod<[], Exportable> = this.RULE('record', (): Exportable => {
    this.CONSUME(reserved.type);
    const name = this.named(this.CONSUME(identifier));
    const sizes = this.OPTION(() => this.SUBRULE(this.names)) ?? [];
    this.CONSUME(marks.assign);
    const fields = this.SUBRULE(this.fields);
    return { kind: 'record', name, sizes, fields };
  });

  private readonly fields: ParserMethod<[], RecordDeclaration['fields'][number][]> = this.RULE(
    'fields',
    (): RecordDeclaration['fields'][number][] => {
      this.CONSUME(marks.leftBrace);
      return this.commaList({
        element: () => {
          const name = this.named(this.CONSUME(word));
          this.CONSUME(marks.colon, { ERR_MSG: '`:` and the type of the field' });
          return { name, type: this.SUBRULE(this.type) };
        },
        close: marks.rightBrace,
        what: 'a field',
      });
    },
  );

  private readonly function: ParserMethod<[], Exportable> = this.RULE('function', (): Exportable => {
    const auto = this.OPTION(() => this.CONSUME(reserved.auto)) !== undefined;
    this.CONSUME(reserved.fn);
    const name = this.named(this.CONSUME(identifier));
    const sizes = this.OPTION2(() => this.SUBRULE(this.sizeNames)) ?? [];
    const parameters = this.SUBRULE(this.parameters);
    this.CONSUME(marks.arrow, { ERR_MSG: '`->` and the type of the result' });
    const result = this.SUBRULE(this.type);
    const facts = this.OPTION3(() => this.SUBRULE(this.facts)) ?? [];
    const braces = is(this.LA(1), marks.leftBrace);
    const body = this.SUBRULE(this.body);
    return { kind: 'function', name, auto, sizes, parameters, result, facts, body, braces };
  });

  private readonly body: ParserMethod<[], Expression> = this.RULE(
    'body',
    (): Expression =>
      this.OR<Expression>({
        DEF: [
          { ALT: () => this.SUBRULE(this.block) },
          {
            ALT: () => {
              const first = this.CONSUME(marks.assign);
              const value = this.attempt(() => this.SUBRULE(this.expression), 'end');
              return value ?? { kind: 'error', span: this.spanFrom(first) };
            },
          },
        ],
        ERR_MSG: 'the body: `= expression` or `{ … }`',
      }),
  );

  /** `[K, N]` */
  private readonly sizeNames: ParserMethod<[], Identifier[]> = this.RULE('sizeNames', (): Identifier[] => {
    this.CONSUME(marks.leftBracket);
    return this.commaList({
      element: () => this.named(this.CONSUME(identifier)),
      close: marks.rightBracket,
      what: 'the name of a size',
    });
  });

  private readonly parameters: ParserMethod<[], Parameter[]> = this.RULE('parameters', (): Parameter[] => {
    this.CONSUME(marks.leftParen, { ERR_MSG: '`(` and the parameters' });
    return this.commaList({
      element: () => this.SUBRULE(this.parameter),
      close: marks.rightParen,
      what: 'a parameter',
    });
  });

  private readonly parameter: ParserMethod<[], Parameter> = this.RULE('parameter', (): Parameter => {
    const token = this.CONSUME(identifier);
    this.CONSUME(marks.colon, { ERR_MSG: '`:` and the type of the parameter' });
    const type = this.SUBRULE(this.type);
    return { name: this.named(token), type, span: this.spanFrom(token) };
  });

  // ── facts ────────────────────────────────────────────────────────────────────────────────────────────────

  private readonly facts: ParserMethod<[], Fact[]> = this.RULE('facts', (): Fact[] => {
    const facts: Fact[] = [];
    this.CONSUME(reserved.where);
    this.AT_LEAST_ONE_SEP({
      SEP: marks.comma,
      DEF: () => {
        facts.push(this.SUBRULE(this.fact));
      },
      ERR_MSG: 'a fact such as `K <= E`',
    });
    return facts;
  });

  private readonly fact: ParserMethod<[], Fact> = this.RULE('fact', (): Fact => {
    const first = this.LA(1);
    const left = this.SUBRULE(this.size);
    const relation = this.OR<Fact['relation']>({
      DEF: [
        { ALT: () => this.relation(this.CONSUME(marks.atMost)) },
        { ALT: () => this.relation(this.CONSUME(marks.less)) },
        { ALT: () => this.relation(this.CONSUME(marks.equal)) },
        { ALT: () => this.relation(this.CONSUME(marks.divides)) },
        { ALT: () => this.relation(this.CONSUME(marks.modulo)) },
      ],
      ERR_MSG: '`<=`, `<`, `==`, `|` (divides) or `% n == 0`',
    });
    const right = this.SUBRULE2(this.size);
    this.OPTION({
      GATE: () => relation === '%',
      DEF: () => {
        this.CONSUME2(marks.equal);
        this.CONSUME(numberLiteral, { ERR_MSG: '`0`' });
      },
    });
    this.ACTION(() => this.checkRemainder(relation));
    return { relation, left, right, span: this.spanFrom(first) };
  });

  private relation(token: IToken): Fact['relation'] {
    return token.image as Fact['relation'];
  }

  private checkRemainder(relation: Fact['relation']): void {
    if (relation !== '%' || this.LA(0).image === '0') return;
    this.reportExpected(this.LA(0), '`== 0` after the modulus', 'only the remainder 0 can be stated');
  }

  // ── properties ───────────────────────────────────────────────────────────────────────────────────────────

  private readonly property: ParserMethod<[], PropertyDeclaration> = this.RULE(
    'property',
    (): PropertyDeclaration => {
      const { documentation } = this;
      const first = this.CONSUME(reserved.property);
      const name = this.named(this.CONSUME(identifier));
      const quantifiers = this.OPTION(() => this.SUBRULE(this.quantifiers)) ?? [];
      const facts = this.OPTION2(() => this.SUBRULE(this.facts)) ?? [];
      const bindings: Binding[] = [];
      this.MANY(() => bindings.push(this.SUBRULE(this.binding)));
      const conditions: Condition[] = [];
      this.MANY2(() => conditions.push(this.SUBRULE(this.condition)));
      const checks: Check[] = [];
      this.AT_LEAST_ONE({
        DEF: () => {
          checks.push(this.SUBRULE(this.check));
        },
        ERR_MSG: '`check` and what must hold',
      });
      const span = this.spanFrom(first);
      return {
        kind: 'property',
        name,
        quantifiers,
        facts,
        bindings,
        conditions,
        checks,
        documentation,
        span,
      };
    },
  );

  private readonly quantifiers: ParserMethod<[], Quantifier[]> = this.RULE(
    'quantifiers',
    (): Quantifier[] => {
      const quantifiers: Quantifier[] = [];
      this.CONSUME(reserved.forall);
      this.AT_LEAST_ONE_SEP({
        SEP: marks.comma,
        DEF: () => {
          quantifiers.push(this.SUBRULE(this.quantifier));
        },
        ERR_MSG: '`name: type`, `name: from..to`, `mesh` or `target`',
      });
      return quantifiers;
    },
  );

  private readonly quantifier: ParserMethod<[], Quantifier> = this.RULE(
    'quantifier',
    (): Quantifier =>
      this.OR<Quantifier>({
        DEF: [
          { ALT: () => this.SUBRULE(this.meshQuantifier) },
          {
            GATE: () => this.LA(1).tokenType === contextual.target && !is(this.LA(2), marks.colon),
            ALT: () => ({ kind: 'target', span: tokenSpan(this.CONSUME(contextual.target), this.file) }),
          },
          {
            GATE: () => this.startsRange(3),
            ALT: () => {
              const name = this.CONSUME(identifier);
              this.CONSUME(marks.colon);
              const range = this.SUBRULE(this.range);
              return { kind: 'size', name: this.named(name), ...range, span: this.spanFrom(name) };
            },
          },
          {
            ALT: () => {
              const name = this.CONSUME2(identifier);
              this.CONSUME2(marks.colon, { ERR_MSG: '`:` and a type or a range' });
              const type = this.SUBRULE(this.type);
              const traits = this.SUBRULE(this.traits);
              const given = this.OPTION(() => {
                this.CONSUME(marks.assign);
                return this.SUBRULE(this.data);
              });
              const span = this.spanFrom(name);
              return { kind: 'value', name: this.named(name), type, traits, given, span };
            },
          },
        ],
        IGNORE_AMBIGUITIES: true,
        ERR_MSG: '`name: type`, `name: from..to`, `mesh` or `target`',
      }),
  );

  /** `ascending distinct`, `within 0..1`: after a type, so that the words are names everywhere else. */
  private readonly traits: ParserMethod<[], TraitExpression[]> = this.RULE(
    'traits',
    (): TraitExpression[] => {
      const traits: TraitExpression[] = [];
      this.MANY(() => {
        const trait = this.OR<TraitExpression>([
          { ALT: () => this.SUBRULE(this.within) },
          { ALT: () => this.traitWord(this.CONSUME(contextual.permutation)) },
          { ALT: () => this.traitWord(this.CONSUME(contextual.ascending)) },
          { ALT: () => this.traitWord(this.CONSUME(contextual.distinct)) },
          { ALT: () => this.traitWord(this.CONSUME(contextual.positive)) },
        ]);
        traits.push(trait);
      });
      return traits;
    },
  );

  private traitWord(token: IToken): TraitExpression {
    return { kind: 'word', word: token.image as TraitWord, span: tokenSpan(token, this.file) };
  }

  private readonly within: ParserMethod<[], TraitExpression> = this.RULE('within', (): TraitExpression => {
    const first = this.CONSUME(contextual.within);
    const from = this.SUBRULE(this.signedNumber);
    this.CONSUME(marks.range, { ERR_MSG: '`..` and the largest' });
    const to = this.SUBRULE2(this.signedNumber);
    return { kind: 'within', from, to, span: this.spanFrom(first) };
  });

  /** A range starts with a number, or with a name that goes on as a size and not as a type. */
  private startsRange(place: number): boolean {
    const continuations = [marks.range, marks.plus, marks.minus, marks.times, marks.divide];
    const second = this.LA(place + 1);
    return is(this.LA(place), numberLiteral) || continuations.some((type) => is(second, type));
  }

  /** `mesh`, `mesh { sp: 1..8, tp: 1..2 }` */
  private readonly meshQuantifier: ParserMethod<[], Quantifier> = this.RULE(
    'meshQuantifier',
    (): Quantifier => {
      const first = this.CONSUME(reserved.mesh);
      const axes =
        this.OPTION(() => {
          this.CONSUME(marks.leftBrace);
          return this.commaList({
            element: () => {
              const name = this.named(this.CONSUME(identifier));
              this.CONSUME(marks.colon, { ERR_MSG: '`:` and a range' });
              return { name, ...this.SUBRULE(this.range) };
            },
            close: marks.rightBrace,
            what: 'an axis',
          });
        }) ?? [];
      return { kind: 'mesh', axes, span: this.spanFrom(first) };
    },
  );

  private readonly range: ParserMethod<[], Range> = this.RULE('range', (): Range => {
    const from = this.SUBRULE(this.size);
    this.CONSUME(marks.range, { ERR_MSG: '`..` and the largest' });
    return { from, to: this.SUBRULE2(this.size) };
  });

  private readonly condition: ParserMethod<[], Condition> = this.RULE('condition', (): Condition => {
    const first = this.CONSUME(reserved.given);
    const value = this.SUBRULE(this.expression);
    return { value, span: this.spanFrom(first) };
  });

  /** `check a ~= b label "…"`. A comparison with `==` that is all of the check is one of the two sides. */
  private readonly check: ParserMethod<[], Check> = this.RULE('check', (): Check => {
    const first = this.CONSUME(reserved.check);
    const left = this.SUBRULE(this.expression);
    const other = this.OPTION(() => {
      const relation = this.OR<IToken>([
        { ALT: () => this.CONSUME(marks.algebraic) },
        { ALT: () => this.CONSUME(marks.numeric) },
      ]);
      return { relation: relation.image as '===' | '~=', right: this.SUBRULE2(this.expression) };
    });
    const label = this.OPTION2(() => {
      this.CONSUME(contextual.label);
      return this.ACTION(() => unquoted(this.CONSUME(stringLiteral)));
    });
    return this.ACTION((): Check => {
      const span = this.spanFrom(first);
      if (other !== undefined) return { left, ...other, label, span };
      const isEquality = left.kind === 'binary' && left.operator === '==' && !isParenthesized(left);
      return isEquality
        ? { relation: '==', left: left.left, right: left.right, label, span }
        : { relation: 'holds', left, right: undefined, label, span };
    });
  });
}

function unquoted({ image }: IToken): string {
  return image.replace(/^"|"$/g, '');
}

/** A span takes in the parentheses around an expression, so it starts before the left side does. */
function isParenthesized(expression: Extract<Expression, { kind: 'binary' }>): boolean {
  return expression.span.start < expression.left.span.start;
}
