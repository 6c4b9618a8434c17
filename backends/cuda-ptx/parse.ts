/** PTX text to data: a parser by recursive descent over the tokens, which resolves names as it goes. */
import {
  groupOf,
  type ModifierGroup,
  type OperandKind,
  type OpName,
  ptxInstructions,
  splitOpcode,
} from './instructions.ts';
import {
  type Guard,
  type Initial,
  type Instruction,
  isSpecialName,
  type Operand,
  type Place,
  type PtxFunction,
  type PtxModule,
  type Register,
  type SourcePlace,
  type Statement,
  type Variable,
  type VariableSpace,
} from './ptx.ts';
import { PtxError } from './ptx-error.ts';
import { bytesOf, isPtxType, type PtxType, ptxTypes, type TypeClass } from './ptx-types.ts';
import { type Token, tokenize } from './tokens.ts';

export interface ParseOptions {
  /** Whether what is wrong in the body of a function is left to who wants to run it. */
  readonly postpones?: boolean;
}

/** @throws PtxError with the place of what is no PTX, or of PTX that is not supported. */
export function parsePtx(text: string, { postpones = false }: ParseOptions = {}): PtxModule {
  return new Parser(tokenize(text), postpones).module();
}

type Named = Register | Variable;

/** Names of a block, and of those around it. */
interface Scope {
  readonly names: Map<string, Named>;
  readonly outer: Scope | undefined;
}

const spaces: ReadonlySet<string> = new Set(['param', 'shared', 'local', 'global', 'const']);

function isSpace(name: string): name is VariableSpace {
  return spaces.has(name);
}

/** What stands before a function or a variable and changes nothing of what it means. */
const linkage = new Set(['.visible', '.extern', '.weak', '.common']);

class Parser {
  private readonly tokens: readonly Token[];
  private at = 0;
  private scope: Scope = { names: new Map(), outer: undefined };
  private source: SourcePlace | undefined;
  /** Of places in the source: where the outermost call is whose function they are in. */
  private readonly callers = new Map<string, SourcePlace>();
  /** Of the function that is read. */
  private variables: Variable[] = [];
  private nested = 0;
  /** Of `.branchtargets`, by its label. */
  private branchTargets = new Map<string, readonly string[]>();
  /** How many inner blocks there were. */
  private blocks = 0;
  private readonly postpones: boolean;

  constructor(tokens: readonly Token[], postpones: boolean) {
    this.tokens = tokens;
    this.postpones = postpones;
  }

  module(): PtxModule {
    let [version, target] = ['', ''];
    const files = new Map<number, string>();
    const variables: Variable[] = [];
    const functions: PtxFunction[] = [];
    while (this.peek().kind !== 'end') {
      while (linkage.has(this.peek().text)) this.next();
      const { text } = this.peek();
      if (text === '.version') {
        this.next();
        version = this.next().text;
      } else if (text === '.target') {
        this.next();
        target = this.next().text;
        while (this.takes(',')) this.next();
      } else if (text === '.address_size') {
        this.next();
        this.expect('64', 'addresses of 64 bits');
      } else if (text === '.file') {
        this.next();
        const number = this.count();
        files.set(number, this.next().text.slice(1, -1));
        while (this.takes(',')) this.next();
      } else if (text === '.section') this.skipSection();
      else if (text === '.loc') this.location();
      else if (text === '.pragma') this.skipStatement();
      else if (text === '.entry' || text === '.func') functions.push(this.function());
      else if (isSpace(text.slice(1)))
        for (const variable of this.variableList()) {
          variables.push(variable);
          this.scope.names.set(variable.name, variable);
        }
      else this.fail(`a directive of a module was expected here, not ${text}`);
    }
    if (version === '') this.fail('a PTX text begins with .version');
    return { version, target, files, variables, functions };
  }

  // ── declarations ─────────────────────────────────────────────────────────────────────────────────────────

  private function(): PtxFunction {
    const isEntry = this.next().text === '.entry';
    const outer = this.scope;
    this.scope = { names: new Map(), outer };
    this.variables = [];
    this.branchTargets = new Map();
    const results = this.peek().text === '(' ? this.parameters(isEntry) : [];
    const { text: name, ...place } = this.word('the name of a function');
    outer.names.set(name, { kind: 'variable', name, space: 'code', type: 'b64', alignment: 1, bytes: 0 });
    const parameters = this.peek().text === '(' ? this.parameters(isEntry) : [];
    const directives = new Map<string, readonly number[]>();
    while (this.peek().kind === 'dotted') {
      const directive = this.next().text.slice(1);
      const numbers: number[] = [];
      while (this.peek().kind === 'number') {
        numbers.push(this.count());
        if (!this.takes(',')) break;
      }
      while (this.peek().kind === 'string') this.next();
      directives.set(directive, numbers);
    }
    let [body, problem]: [Statement[] | undefined, PtxError | undefined] = [undefined, undefined];
    if (!this.takes(';')) {
      this.expect('{', 'the body of the function');
      const start = this.at;
      try {
        body = this.block();
      } catch (error) {
        if (!this.postpones || !(error instanceof PtxError)) throw error;
        [body, problem] = [[], error];
        this.at = start;
        if (!this.leavesBlock()) throw error;
      }
    }
    this.scope = outer;
    this.source = undefined;
    const { variables } = this;
    return { name, isEntry, results, parameters, variables, body, problem, directives, place };
  }

  /** Goes on behind the block that it is in, whatever is in there, if it has an end. */
  private leavesBlock(): boolean {
    this.nested = 0;
    for (let open = 1; open > 0; ) {
      const { kind, text } = this.peek();
      if (kind === 'end') return false;
      this.next();
      if (text === '{') open++;
      if (text === '}') open--;
    }
    return true;
  }

  /** Those of a function, which each thread has to itself, are as local memory is. */
  private parameters(isOfEntry: boolean): readonly Variable[] {
    this.expect('(', 'parameters');
    const all: Variable[] = [];
    while (this.peek().text !== ')') {
      const space = this.next().text;
      if (space === '.reg')
        this.fail('parameters in registers are not supported: those of nvcc are in .param');
      if (space !== '.param') this.fail(`a parameter begins with .param, not ${space}`);
      const [variable] = this.declarators('param').map(
        (each): Variable => (isOfEntry ? each : { ...each, space: 'local' }),
      );
      all.push(variable!);
      this.scope.names.set(variable!.name, variable!);
      if (!this.takes(',')) break;
    }
    this.expect(')', 'a parenthesis after the parameters');
    return all;
  }

  private variableList(): readonly Variable[] {
    const space = this.next().text.slice(1);
    const all = this.declarators(space as VariableSpace);
    this.expect(';', 'a semicolon after the variable');
    return all;
  }

  /** `.align 4 .b8 name[128] = {1, 2}`, of parameters one, else several with commas between. */
  private declarators(space: VariableSpace): readonly Variable[] {
    let [alignment, type]: [number | undefined, PtxType | undefined] = [undefined, undefined];
    let width = 1;
    while (this.peek().kind === 'dotted') {
      const word = this.next().text.slice(1);
      if (word === 'align') alignment = this.count();
      else if (isPtxType(word)) type = word;
      else if (/^v[248]$/.test(word)) width = Number(word[1]);
      // `.ptr .global`: what a pointer points to, which we see when it is used.
      // Where the host may use it too, which is no matter here.
      else if (word === 'attribute') this.skipParentheses();
      else if (word !== 'ptr' && !isSpace(word)) this.fail(`.${word} says nothing about a variable`);
    }
    if (type === undefined) return this.fail('a variable has a type, as .b32');
    const all: Variable[] = [];
    do {
      const { text: name } = this.word('the name of a variable');
      let [elements, isArray, isOpen] = [width, false, false];
      while (this.takes('[')) {
        isArray = true;
        if (this.peek().text === ']') isOpen = true;
        else elements *= this.count();
        this.expect(']', 'a bracket after the length');
      }
      const initial = this.takes('=') ? this.initial(type) : undefined;
      if (isOpen) elements = initial?.length ?? 0;
      all.push({
        ...{ kind: 'variable', name, space, type },
        alignment: alignment ?? bytesOf(type) * width,
        bytes: isArray && isOpen && initial === undefined ? 0 : elements * bytesOf(type),
        ...(initial === undefined ? {} : { initial }),
      });
    } while (space !== 'param' && this.takes(','));
    return all;
  }

  private initial(type: PtxType): readonly Initial[] {
    if (this.takes('{')) {
      const all: Initial[] = [];
      while (this.peek().text !== '}') {
        all.push(...this.initial(type));
        if (!this.takes(',')) break;
      }
      this.expect('}', 'a brace after the values');
      return all;
    }
    if (this.peek().kind === 'word') {
      let name = this.next().text;
      if (name === 'generic' && this.takes('(')) {
        name = this.word('the name of a variable').text;
        this.expect(')', 'a parenthesis');
      }
      return [{ symbol: name, offset: this.takes('+') ? this.count() : 0 }];
    }
    const value = this.number();
    return [{ bits: value.kind === 'float' ? value.bits : value.value }];
  }

  private registers(): void {
    this.next();
    const type = this.next().text.slice(1);
    if (!isPtxType(type)) this.fail(`registers have a type, as .b32, not .${type}`);
    do {
      const { text: name } = this.word('the name of a register');
      if (this.takes('<')) {
        const count = this.count();
        this.expect('>', 'a > after the number of registers');
        for (let number = 0; number < count; number++) this.declareRegister(`${name}${number}`, type);
      } else this.declareRegister(name, type);
    } while (this.takes(','));
    this.expect(';', 'a semicolon after the registers');
  }

  private declareRegister(name: string, type: PtxType): void {
    this.scope.names.set(name, { kind: 'register', name, type });
  }

  // ── statements ───────────────────────────────────────────────────────────────────────────────────────────

  /** Behind the brace that opens it, to the one that closes it. */
  private block(): Statement[] {
    const all: Statement[] = [];
    while (!this.takes('}')) {
      const token = this.peek();
      if (token.kind === 'end') this.fail('a block is not closed: } is missing');
      if (this.takes('{')) {
        if (++this.nested > 100) this.fail('blocks are nested more than 100 deep');
        this.scope = { names: new Map(), outer: this.scope };
        all.push(...withOwnLabels(this.block(), ++this.blocks));
        this.scope = this.scope.outer!;
        this.nested--;
      } else if (token.text === '.reg') this.registers();
      else if (token.text === '.loc') this.location();
      else if (token.text === '.pragma') this.skipStatement();
      else if (token.kind === 'dotted' && isSpace(token.text.slice(1))) {
        for (const variable of this.variableList()) {
          // What a function hands to another each thread has to itself.
          const own: Variable = variable.space === 'param' ? { ...variable, space: 'local' } : variable;
          this.scope.names.set(own.name, own);
          this.variables.push(own);
        }
      } else if (token.kind === 'word' && this.tokens[this.at + 1]?.text === ':') {
        this.next();
        this.next();
        // What an indirect call may go to, and with what, is seen where it goes.
        if (/^\.(calltargets|callprototype)$/.test(this.peek().text)) {
          this.skipStatement();
          continue;
        }
        if (this.takes('.branchtargets')) {
          const targets: string[] = [];
          do targets.push(this.word('a label').text);
          while (this.takes(','));
          this.expect(';', 'a semicolon after the labels');
          this.branchTargets.set(token.text, targets);
          continue;
        }
        if (all.some((each) => each.kind === 'label' && each.name === token.text))
          throw new PtxError(`the label ${token.text} is here twice`, placeOf(token));
        all.push({ kind: 'label', name: token.text });
      } else all.push(this.instruction());
    }
    return all;
  }

  private instruction(): Instruction {
    let guard: Guard | undefined;
    if (this.takes('@')) {
      const negated = this.takes('!');
      guard = { register: this.predicate(), negated };
    }
    const first = this.word('an instruction');
    let text = first.text;
    while (this.peek().kind === 'dotted' && this.peek().adjacent) text += this.next().text;
    const place = { line: first.line, column: first.column };
    const { op, modifiers, types } = instructionOf(text, place);
    const operands: Operand[] = [];
    const facts = ptxInstructions[op];
    while (this.peek().text !== ';') {
      const kind = facts.operands[operands.length]?.kind;
      // A call of what takes nothing and gives nothing is a name alone.
      if (op === 'call') operands.push(this.callOperand());
      else if (kind === undefined)
        this.fail(`${text} takes ${facts.operands.length} operands, and there are more`);
      else {
        const token = this.peek();
        const operand = this.operandOf(kind, text);
        if (facts.unit === 'lane' && !isOfTypes(operand, types))
          throw new PtxError(`${text} takes no such literal as ${token.text}`, placeOf(token));
        operands.push(operand);
      }
      if (!this.takes(',')) break;
    }
    this.expect(';', `a semicolon after ${text}`);
    if (op === 'brx.idx') {
      const table = operands.pop();
      const targets = table?.kind === 'name' ? this.branchTargets.get(table.name) : undefined;
      if (targets === undefined) throw new PtxError(`${text} needs .branchtargets before it`, place);
      operands.push(...targets.map((name): Operand => ({ kind: 'name', name })));
    }
    const least = facts.operands.filter(({ optional }) => !optional).length;
    if (op !== 'call' && operands.length < least)
      throw new PtxError(`${text} takes at least ${least} operands, and has ${operands.length}`, place);
    return {
      ...{ kind: 'instruction', op, text, guard, modifiers, types, operands, place },
      source: this.source,
    };
  }

  private callOperand(): Operand {
    if (this.peek().text !== '(') {
      const { text: name } = this.word('the name of a function');
      const found = this.find(name);
      return found?.kind === 'register' ? { kind: 'register', register: found } : { kind: 'name', name };
    }
    this.next();
    const variables: Operand[] = [];
    while (this.peek().text !== ')') {
      variables.push(this.operand());
      if (!this.takes(',')) break;
    }
    this.expect(')', 'a parenthesis after the arguments');
    return { kind: 'arguments', variables };
  }

  private operandOf(kind: OperandKind, text: string): Operand {
    const token = this.peek();
    if (kind === 'name') return { kind: 'name', name: this.word('a label').text };
    const operand = this.operand();
    const fits: { readonly [K in OperandKind]: readonly Operand['kind'][] } = {
      write: ['register', 'vector', 'pair', 'sink'],
      update: ['vector'],
      writePredicate: ['register', 'pair', 'sink'],
      read: ['register', 'special', 'integer', 'float', 'symbol', 'vector'],
      address: ['address'],
      predicate: ['register', 'not'],
      readOrPredicate: ['register', 'special', 'integer', 'not'],
      constant: ['integer'],
      name: ['name'],
      arguments: ['arguments'],
    };
    if (!fits[kind].includes(operand.kind)) {
      const wanted = kind === 'address' ? 'an address in brackets' : `a ${kind} operand`;
      throw new PtxError(`${text} has ${wanted} here, not ${token.text}`, placeOf(token));
    }
    return operand;
  }

  // ── operands ─────────────────────────────────────────────────────────────────────────────────────────────

  private operand(): Operand {
    const token = this.peek();
    if (token.text === '[') return this.address();
    if (token.text === '{') {
      this.next();
      const elements: Operand[] = [];
      do elements.push(this.operand());
      while (this.takes(','));
      this.expect('}', 'a brace after the registers');
      return { kind: 'vector', elements };
    }
    if (this.takes('!')) return { kind: 'not', register: this.predicate() };
    if (token.kind === 'number' || token.text === '-') return this.number();
    const first = this.named();
    return this.takes('|') ? { kind: 'pair', first, second: this.named() } : first;
  }

  /** A register, a special register, the address of a variable or `_`. */
  private named(): Operand {
    const token = this.word('an operand');
    if (token.text === '_') return { kind: 'sink' };
    if (token.text === 'WARP_SZ') return { kind: 'integer', value: 32n };
    const found = this.find(token.text);
    if (found?.kind === 'register') return { kind: 'register', register: found };
    if (found !== undefined) return { kind: 'symbol', variable: found, offset: this.displacement() };
    let special = token.text.slice(1);
    if (this.peek().kind === 'dotted' && this.peek().adjacent) special += this.next().text;
    if (token.text.startsWith('%') && isSpecialName(special)) return { kind: 'special', name: special };
    if (/^%(envreg\d+|pm\d+(_64)?)$/.test(token.text))
      throw new PtxError(
        `${token.text} is not supported: what a driver says or counts is not there`,
        placeOf(token),
      );
    throw new PtxError(`${token.text} is not declared`, placeOf(token));
  }

  private address(): Operand {
    this.expect('[', 'an address');
    let [base, offset]: [Named | undefined, number] = [undefined, 0];
    if (this.peek().kind === 'number') offset = this.count();
    else {
      const token = this.word('a register or variable');
      base = this.find(token.text);
      if (base === undefined) throw new PtxError(`${token.text} is not declared`, placeOf(token));
      offset = this.displacement();
    }
    let coordinates: readonly Operand[] = [];
    if (this.takes(',')) {
      const vector = this.operand();
      if (vector.kind !== 'vector') return this.fail('the coordinates of a tensor are in braces');
      coordinates = vector.elements;
    }
    this.expect(']', 'a bracket after the address');
    return { kind: 'address', base, offset, coordinates };
  }

  /** `+4`, `+-4`, `-4` or nothing. */
  private displacement(): number {
    if (this.takes('+')) return this.takes('-') ? -this.count() : this.count();
    return this.takes('-') ? -this.count() : 0;
  }

  private number(): Extract<Operand, { kind: 'integer' | 'float' }> {
    const negative = this.takes('-');
    const token = this.next();
    if (token.kind !== 'number') throw new PtxError(`${token.text} is no number`, placeOf(token));
    const { text } = token;
    const bits = /^0[fFdD]([0-9a-fA-F]+)$/.exec(text);
    if (bits !== null)
      return { kind: 'float', bits: BigInt(`0x${bits[1]}`), width: /^0f/i.test(text) ? 32 : 64 };
    if (/[.eE]/.test(text) && !/^0x/i.test(text)) {
      const view = new DataView(new ArrayBuffer(8));
      view.setFloat64(0, negative ? -Number(text) : Number(text));
      return { kind: 'float', bits: view.getBigUint64(0), width: 64 };
    }
    // Octal begins with 0.
    const digits = text.replace(/U$/, '');
    const octal = /^0\d/.test(digits);
    if (octal && /[89]/.test(digits)) throw new PtxError(`${text} is no octal number`, placeOf(token));
    const value = BigInt(octal ? `0o${digits.slice(1)}` : digits);
    return { kind: 'integer', value: negative ? -value : value };
  }

  private predicate(): Register {
    const token = this.word('a predicate');
    const found = this.find(token.text);
    if (found?.kind === 'register' && found.type === 'pred') return found;
    throw new PtxError(`${token.text} is not a predicate register`, placeOf(token));
  }

  private find(name: string): Named | undefined {
    for (let scope: Scope | undefined = this.scope; scope !== undefined; scope = scope.outer) {
      const found = scope.names.get(name);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  // ── what says where things come from ─────────────────────────────────────────────────────────────────────

  /** `.loc 1 20 5`, with `function_name` and `inlined_at` behind it: line 0 is nowhere. */
  private location(): void {
    this.next();
    const [file, line, column] = [this.count(), this.count(), this.count()];
    let caller: SourcePlace | undefined;
    while (this.takes(',')) {
      const what = this.next().text;
      const numbers: number[] = [];
      while (this.peek().kind === 'number' || this.peek().text === '+' || this.peek().text.startsWith('$'))
        if (this.peek().kind === 'number') numbers.push(this.count());
        else this.next();
      // The call may be in a function that is in place of a call itself, which a `.loc` before has told.
      const [callFile, callLine] = numbers;
      if (what === 'inlined_at' && callFile !== undefined && callLine !== undefined)
        caller = this.callers.get(numbers.join(' ')) ?? { file: callFile, line: callLine };
    }
    if (caller !== undefined) this.callers.set(`${file} ${line} ${column}`, caller);
    else this.callers.delete(`${file} ${line} ${column}`);
    this.source = line === 0 ? undefined : { file, line, ...(caller === undefined ? {} : { caller }) };
  }

  private skipSection(): void {
    while (this.peek().text !== '{' && this.peek().kind !== 'end') this.next();
    while (this.peek().text !== '}' && this.peek().kind !== 'end') this.next();
    this.next();
  }

  private skipParentheses(): void {
    this.expect('(', 'a parenthesis');
    while (this.peek().text !== ')' && this.peek().kind !== 'end') this.next();
    this.next();
  }

  private skipStatement(): void {
    while (this.peek().text !== ';' && this.peek().kind !== 'end') this.next();
    this.next();
  }

  // ── tokens ───────────────────────────────────────────────────────────────────────────────────────────────

  private peek(): Token {
    return this.tokens[this.at]!;
  }

  private next(): Token {
    const token = this.tokens[this.at]!;
    if (token.kind !== 'end') this.at++;
    return token;
  }

  private takes(mark: string): boolean {
    const found = this.peek().text === mark;
    if (found) this.at++;
    return found;
  }

  private expect(mark: string, what: string): void {
    if (!this.takes(mark)) this.fail(`${what} was expected here, not ${this.peek().text}`);
  }

  private word(what: string): Token {
    if (this.peek().kind !== 'word') this.fail(`${what} was expected here, not ${this.peek().text}`);
    return this.next();
  }

  private count(): number {
    if (this.peek().kind !== 'number') this.fail(`a number was expected here, not ${this.peek().text}`);
    return Number(this.next().text.replace(/U$/, ''));
  }

  private fail(message: string): never {
    throw new PtxError(message, placeOf(this.peek()));
  }
}

function placeOf({ line, column }: Token): Place {
  return { line, column };
}

/** Bits may be written either way; of numbers integers are no floats, nor floats integers. */
function isOfTypes({ kind }: Operand, types: readonly PtxType[]): boolean {
  const areAll = (classes: readonly TypeClass[]) =>
    types.length > 0 && types.every((type) => classes.includes(ptxTypes[type].class));
  if (kind === 'integer') return !areAll(['float']);
  return kind !== 'float' || !areAll(['signed', 'unsigned']);
}

/** Labels of a block are its own: with names that no other block has, as have the branches to them. */
function withOwnLabels(block: readonly Statement[], number: number): readonly Statement[] {
  const own = new Map<string, string>();
  for (const each of block)
    if (each.kind === 'label' && !each.name.includes('#')) own.set(each.name, `${each.name}#${number}`);
  if (own.size === 0) return block;
  return block.map((each): Statement => {
    if (each.kind === 'label') return { ...each, name: own.get(each.name) ?? each.name };
    if (each.op !== 'bra' && each.op !== 'brx.idx') return each;
    const operands = each.operands.map(
      (operand): Operand =>
        operand.kind === 'name' ? { ...operand, name: own.get(operand.name) ?? operand.name } : operand,
    );
    return { ...each, operands };
  });
}

/** What the words of an opcode say, each told apart by the table. */
function instructionOf(
  text: string,
  place: Place,
): { readonly op: OpName; readonly modifiers: Instruction['modifiers']; readonly types: readonly PtxType[] } {
  const split = splitOpcode(text);
  if (split === undefined) {
    const isOfTextures = /^(tex|tld4|txq|istypep|sust|suld|sured|suq)\./.test(text);
    const why = isOfTextures
      ? 'textures and surfaces are not supported'
      : 'no instruction that is known here';
    throw new PtxError(isOfTextures ? `${text}: ${why}` : `${text} is ${why}`, place);
  }
  const { op, rest } = split;
  const facts = ptxInstructions[op];
  const left = [...facts.modifiers];
  const modifiers: { [G in ModifierGroup]?: string } = {};
  const types: PtxType[] = [];
  for (const word of rest) {
    const group = groupOf(word, left);
    if (group !== undefined) {
      modifiers[group] = word;
      left.splice(left.indexOf(group), 1);
    } else if (isPtxType(word)) types.push(word);
    else throw new PtxError(`${text}: ${op} has no .${word} here`, place);
  }
  const [least, most] = facts.types;
  if (types.length < least || types.length > most) {
    const wanted = least === most ? `${least}` : `${least} to ${most}`;
    throw new PtxError(`${text} has ${types.length} types behind it, where ${op} takes ${wanted}`, place);
  }
  return { op, modifiers, types };
}
