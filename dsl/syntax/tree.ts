/**
 * The syntax tree: what was written, with the place of each part, and nothing inferred.
 * Comments are kept beside the tree (`Module.comments`) in source order; the formatter puts them back by
 * position.
 */
import type { Span } from '../diagnostics/diagnostic.ts';

export interface Identifier {
  readonly name: string;
  readonly span: Span;
}

/** `name` or `qualifier.name`, where the qualifier is an imported module. */
export interface Path {
  readonly qualifier: Identifier | undefined;
  readonly name: Identifier;
  readonly span: Span;
}

export interface Module {
  readonly path: string;
  /** The name after `module`, if the file starts with one. */
  readonly name: Identifier | undefined;
  readonly declarations: readonly Declaration[];
  readonly comments: readonly Comment[];
  readonly span: Span;
}

export interface Comment {
  readonly kind: 'comment' | 'documentation';
  /** Without the slashes, otherwise as written. */
  readonly text: string;
  readonly span: Span;
}

export type Declaration =
  | Import
  | MeshDeclaration
  | RecordDeclaration
  | FunctionDeclaration
  | PropertyDeclaration;

/**
 * `import attention`, `import "./block.ricci"`, `import attention (causal, attend)`, `import "./b.ricci" as
 * block`.
 */
export interface Import {
  readonly kind: 'import';
  /** A module of the standard library (`name`) or a file beside this one (`file`). */
  readonly from: { readonly kind: 'name' | 'file'; readonly text: string; readonly span: Span };
  readonly alias: Identifier | undefined;
  /** Names that may be used without the qualifier. */
  readonly names: readonly Identifier[];
  readonly span: Span;
}

/** `mesh (dp, sp, tp, ep)` */
export interface MeshDeclaration {
  readonly kind: 'mesh';
  readonly axes: readonly Identifier[];
  readonly span: Span;
}

/** `type Ffn(D, F) = { gate: bf16[D, F], … }` */
export interface RecordDeclaration {
  readonly kind: 'record';
  readonly name: Identifier;
  readonly sizes: readonly Identifier[];
  readonly fields: readonly { readonly name: Identifier; readonly type: TypeExpression }[];
  readonly documentation: string | undefined;
  readonly exported: boolean;
  readonly span: Span;
}

/** `export auto fn name[K](x: f32[D], …) -> f32[D] where K <= E { … }` (or `= expression`) */
export interface FunctionDeclaration {
  readonly kind: 'function';
  readonly name: Identifier;
  readonly exported: boolean;
  /** `auto fn`: the partitioner may place everything that is not placed. */
  readonly auto: boolean;
  /** The size parameters in brackets, which no argument fixes. */
  readonly sizes: readonly Identifier[];
  readonly parameters: readonly Parameter[];
  readonly result: TypeExpression;
  readonly facts: readonly Fact[];
  readonly body: Expression;
  /** Whether the body was written as `{ … }` (true) or `= …` (false). */
  readonly braces: boolean;
  readonly documentation: string | undefined;
  readonly span: Span;
}

export interface Parameter {
  readonly name: Identifier;
  readonly type: TypeExpression;
  readonly span: Span;
}

/** `property name forall … where … let … given … check …` */
export interface PropertyDeclaration {
  readonly kind: 'property';
  readonly name: Identifier;
  readonly quantifiers: readonly Quantifier[];
  readonly facts: readonly Fact[];
  /** What the conditions and checks name. */
  readonly bindings: readonly Binding[];
  readonly conditions: readonly Condition[];
  readonly checks: readonly Check[];
  readonly documentation: string | undefined;
  readonly span: Span;
}

export type Quantifier =
  | {
      readonly kind: 'value';
      readonly name: Identifier;
      readonly type: TypeExpression;
      readonly traits: readonly TraitExpression[];
      /** `= [[1, 0], [0, 1]]`: its one value. */
      readonly given: DataExpression | undefined;
      readonly span: Span;
    }
  | {
      readonly kind: 'size';
      readonly name: Identifier;
      readonly from: SizeExpression;
      readonly to: SizeExpression;
      readonly span: Span;
    }
  | {
      readonly kind: 'mesh';
      readonly axes: readonly {
        readonly name: Identifier;
        readonly from: SizeExpression;
        readonly to: SizeExpression;
      }[];
      readonly span: Span;
    }
  | { readonly kind: 'target'; readonly span: Span };

export const traitWords = ['permutation', 'ascending', 'distinct', 'positive'] as const;
export type TraitWord = (typeof traitWords)[number];

/** What all values of a quantified name have beside its type: `ascending`, `within -1..1`. */
export type TraitExpression =
  | { readonly kind: 'word'; readonly word: TraitWord; readonly span: Span }
  | {
      readonly kind: 'within';
      readonly from: SignedNumber;
      readonly to: SignedNumber;
      readonly span: Span;
    };

/** A literal with its sign. */
export interface SignedNumber {
  readonly text: string;
  readonly span: Span;
}

/**
 * A value that is written down. What it is of, the type beside it says: a tensor is a list of lists, an array
 * of records a record of such.
 */
export type DataExpression =
  /** With its sign; `inf`, `-inf` and `nan` too. */
  | { readonly kind: 'number'; readonly text: string; readonly span: Span }
  | { readonly kind: 'boolean'; readonly value: boolean; readonly span: Span }
  /** `[1, 2]` */
  | { readonly kind: 'list'; readonly elements: readonly DataExpression[]; readonly span: Span }
  /** `(1, 2)` */
  | { readonly kind: 'tuple'; readonly elements: readonly DataExpression[]; readonly span: Span }
  /** `{ gate: [1], up: [2] }` */
  | { readonly kind: 'record'; readonly fields: readonly DataField[]; readonly span: Span };

export interface DataField {
  readonly name: Identifier;
  readonly value: DataExpression;
  readonly span: Span;
}

/** `given e`: what must be true of the values for the checks to say anything. */
export interface Condition {
  readonly value: Expression;
  readonly span: Span;
}

/**
 * `check a ~= b`, `check a === b`, `check a == b`, or `check e` for a boolean `e`; optionally `label "…"`.
 */
export interface Check {
  readonly relation: '===' | '==' | '~=' | 'holds';
  readonly left: Expression;
  /** Absent when the relation is `holds`. */
  readonly right: Expression | undefined;
  readonly label: string | undefined;
  readonly span: Span;
}

/** `K <= E`, `K < E`, `N == M`, `sp | G` (divides), `F % 8 == 0`. */
export interface Fact {
  readonly relation: '<=' | '<' | '==' | '|' | '%';
  readonly left: SizeExpression;
  /** For `%`: the modulus (the remainder is 0). */
  readonly right: SizeExpression;
  readonly span: Span;
}

// ── types and sizes ────────────────────────────────────────────────────────────────────────────────────────

export type SizeExpression =
  | { readonly kind: 'natural'; readonly value: number; readonly span: Span }
  | { readonly kind: 'name'; readonly name: string; readonly span: Span }
  | {
      readonly kind: 'binary';
      readonly operator: '+' | '-' | '*' | '/';
      readonly left: SizeExpression;
      readonly right: SizeExpression;
      readonly span: Span;
    };

/** `S`, `S@sp`, `S@(node, gpu)`, `S@?`. */
export interface DimExpression {
  readonly size: SizeExpression;
  readonly placement: PlacementExpression;
  readonly span: Span;
}

export type PlacementExpression =
  | { readonly kind: 'none' }
  | { readonly kind: 'axes'; readonly axes: readonly Identifier[] }
  | { readonly kind: 'hole'; readonly span: Span };

export type PendingExpression = {
  readonly reduction: 'sum' | 'max' | 'min';
  readonly axis: Identifier;
};

export type TypeExpression =
  | {
      /** `f32[S, D]`, `ix(E)[K]`, `Ffn(D, F)[E]`, `key`, `f32`. Which of them the name decides. */
      readonly kind: 'named';
      readonly path: Path;
      /** In parentheses: the range of `ix`, or the sizes of a record. */
      readonly sizes: readonly SizeExpression[];
      readonly dims: readonly DimExpression[];
      readonly pending: readonly PendingExpression[];
      readonly span: Span;
    }
  | { readonly kind: 'tuple'; readonly elements: readonly TypeExpression[]; readonly span: Span };

// ── expressions ────────────────────────────────────────────────────────────────────────────────────────────

export const reductionNames = [
  'sum',
  'prod',
  'max',
  'min',
  'mean',
  'any',
  'all',
  'argmax',
  'argmin',
] as const;
export type ReductionName = (typeof reductionNames)[number];

export type UnaryOperator = '-' | 'not';
export type BinaryOperator =
  | '+'
  | '-'
  | '*'
  | '/'
  | '%'
  | '=='
  | '!='
  | '<'
  | '<='
  | '>'
  | '>='
  | 'and'
  | 'or';

export type Expression =
  | { readonly kind: 'number'; readonly text: string; readonly span: Span }
  | { readonly kind: 'boolean'; readonly value: boolean; readonly span: Span }
  | { readonly kind: 'name'; readonly name: string; readonly span: Span }
  | {
      readonly kind: 'unary';
      readonly operator: UnaryOperator;
      readonly operand: Expression;
      readonly span: Span;
    }
  | {
      readonly kind: 'binary';
      readonly operator: BinaryOperator;
      readonly left: Expression;
      readonly right: Expression;
      readonly span: Span;
    }
  /** `base.name`: a field of a record, or a function of the imported module `base`. */
  | { readonly kind: 'field'; readonly base: Expression; readonly name: Identifier; readonly span: Span }
  /** `base[i, :, (g, r)]` */
  | {
      readonly kind: 'subscript';
      readonly base: Expression;
      readonly subscripts: readonly Subscript[];
      readonly span: Span;
    }
  /** `f(x, y, scale: 2)`, `f[K](x)`; `callee` is a name or a field, `sizes` what stood in brackets. */
  | {
      readonly kind: 'call';
      readonly callee: Expression;
      readonly sizes: readonly SizeExpression[];
      readonly arguments: readonly Argument[];
      readonly span: Span;
    }
  | { readonly kind: 'tuple'; readonly elements: readonly Expression[]; readonly span: Span }
  /** `for i, (g, r), j < N: body` */
  | {
      readonly kind: 'comprehension';
      readonly indices: readonly IndexPattern[];
      readonly body: Expression;
      readonly span: Span;
    }
  /** `sum d: body`; `reduction` keeps its own span for messages. */
  | {
      readonly kind: 'reduction';
      readonly reduction: ReductionName;
      readonly indices: readonly IndexPattern[];
      readonly body: Expression;
      readonly span: Span;
    }
  /** `if c then a else b` */
  | {
      readonly kind: 'if';
      readonly condition: Expression;
      readonly then: Expression;
      readonly otherwise: Expression;
      readonly span: Span;
    }
  /** `{ let … let … result }` */
  | {
      readonly kind: 'block';
      readonly bindings: readonly Binding[];
      readonly result: Expression;
      readonly span: Span;
    }
  /**
   * `fold layer in layers from h = x: body`, `scan x in xs from s = s0: (s2, y)`, `fold i < N from h = x:
   * body`. The items are rows of the leading dimension of `sequence`, or an index when `count` is given
   * instead.
   */
  | {
      readonly kind: 'loop';
      readonly loop: 'fold' | 'scan';
      readonly items:
        | { readonly kind: 'rows'; readonly pattern: LetPattern; readonly sequence: Expression }
        | { readonly kind: 'count'; readonly index: Identifier; readonly bound: SizeExpression };
      readonly state: LetPattern;
      readonly initial: Expression;
      readonly body: Expression;
      readonly span: Span;
    }
  /** `x as [S@sp, D]`, `x as [S, D]{+tp}`: a planned resharding. */
  | {
      readonly kind: 'reshard';
      readonly value: Expression;
      readonly dims: readonly DimExpression[];
      readonly pending: readonly PendingExpression[];
      readonly span: Span;
    }
  /** `per_device sp (q, k, v) { … }` */
  | {
      readonly kind: 'perDevice';
      readonly axes: readonly Identifier[];
      readonly captures: readonly Identifier[];
      readonly body: Expression;
      readonly span: Span;
    }
  /** `ring sp (k, v) from acc = start at j { … }` */
  | {
      readonly kind: 'ring';
      readonly axis: Identifier;
      readonly travelling: readonly Identifier[];
      readonly state: LetPattern;
      readonly initial: Expression;
      /** Names the rank whose block is at hand. */
      readonly source: Identifier | undefined;
      readonly body: Expression;
      readonly span: Span;
    }
  /** Where the parser recovered; never reported on again, and of every type at once. */
  | { readonly kind: 'error'; readonly span: Span };

export type ExpressionKind = Expression['kind'];

export type Subscript =
  /** `:` */
  | { readonly kind: 'whole'; readonly span: Span }
  /** An index, or a tuple of them for a product dimension (then `value.kind` is `tuple`). */
  | { readonly kind: 'at'; readonly value: Expression; readonly span: Span };

export type Argument =
  | {
      readonly kind: 'value';
      readonly name: Identifier | undefined;
      readonly value: Expression;
      readonly span: Span;
    }
  /** `S -> G` in `all_to_all(x, sp, S -> G)` */
  | {
      readonly kind: 'move';
      readonly from: SizeExpression;
      readonly to: SizeExpression;
      readonly span: Span;
    };

export type IndexPattern =
  | {
      readonly kind: 'index';
      readonly name: Identifier;
      /** `i < N` */
      readonly bound: SizeExpression | undefined;
      readonly span: Span;
    }
  /** `(g, r)` over a product dimension. */
  | {
      readonly kind: 'tuple';
      readonly parts: readonly Extract<IndexPattern, { kind: 'index' }>[];
      readonly span: Span;
    };

export interface Binding {
  readonly pattern: LetPattern;
  readonly type: TypeExpression | undefined;
  readonly value: Expression;
  readonly span: Span;
}

export type LetPattern =
  | { readonly kind: 'name'; readonly name: Identifier; readonly span: Span }
  /** `let h[f] = …`: the tensor named by its element. An annotated type is then the element's. */
  | {
      readonly kind: 'element';
      readonly name: Identifier;
      readonly indices: readonly IndexPattern[];
      readonly span: Span;
    }
  | { readonly kind: 'tuple'; readonly elements: readonly LetPattern[]; readonly span: Span };
