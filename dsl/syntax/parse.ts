import type { Diagnostic, Source, Span } from '../diagnostics/diagnostic.ts';
import * as T from './tree.ts';

type Tok = { k: 'id' | 'num' | 'op' | 'str' | 'eof'; t: string; s: number; e: number; adj: boolean };
class Fail extends Error {
  tok: Tok;
  constructor(m: string, tok: Tok) {
    super(m);
    this.tok = tok;
  }
}
export function parse(source: Source): { module: T.Module; diagnostics: Diagnostic[] } {
  const { text, path } = source;
  const toks: Tok[] = [];
  const comments: T.Comment[] = [];
  const re =
    /(\s+)|(\/\/\/?[^\n]*)|([A-Za-z_][A-Za-z0-9_]*)|(\d+(?:\.(?!\.)\d+)?(?:[eE][-+]?\d+)?)|("[^"\n]*")|(===|==|~=|!=|<=|>=|->|\.\.|[-+*/%<>=()[\]{},:.|@?~])|([^])/g;
  let last = -1;
  for (const m of text.matchAll(re)) {
    const s = m.index,
      e = s + m[0].length;
    if (m[1]) continue;
    if (m[2]) {
      const d = m[2].startsWith('///');
      comments.push({
        kind: d ? 'documentation' : 'comment',
        text: m[2].slice(d ? 3 : 2),
        span: { file: path, start: s, end: e },
      });
      continue;
    }
    toks.push({ k: m[3] ? 'id' : m[4] ? 'num' : m[5] ? 'str' : 'op', t: m[0], s, e, adj: s === last });
    last = e;
  }
  toks.push({ k: 'eof', t: '', s: text.length, e: text.length, adj: false });
  let p = 0;
  const cur = () => toks[p]!;
  const la = (n = 0) => toks[Math.min(p + n, toks.length - 1)]!;
  const is = (t: string) => cur().t === t && cur().k !== 'str';
  const span = (s: number): Span => ({ file: path, start: s, end: toks[p - 1]?.e ?? s });
  const fail = (m: string): never => {
    throw new Fail(m + ', found `' + cur().t + '`', cur());
  };
  const eat = (t: string) => {
    if (!is(t)) fail('expected `' + t + '`');
    return toks[p++]!;
  };
  const opt = (t: string) => (is(t) ? (p++, true) : false);
  const id = (): T.Identifier => {
    const c = cur();
    if (c.k !== 'id') fail('expected a name');
    p++;
    return { name: c.t, span: { file: path, start: c.s, end: c.e } };
  };
  const list = <A>(end: string, f: () => A): A[] => {
    const r: A[] = [];
    while (!is(end)) {
      r.push(f());
      if (!opt(',')) break;
    }
    eat(end);
    return r;
  };
  const size = (): T.SizeExpression => {
    const s = cur().s;
    let l = sterm();
    while (is('+') || is('-')) {
      const o = toks[p++]!.t as '+';
      const r = sterm();
      l = { kind: 'binary', operator: o, left: l, right: r, span: span(s) };
    }
    return l;
  };
  const sterm = (): T.SizeExpression => {
    const s = cur().s;
    let l = satom();
    while (is('*') || is('/')) {
      const o = toks[p++]!.t as '*';
      const r = satom();
      l = { kind: 'binary', operator: o, left: l, right: r, span: span(s) };
    }
    return l;
  };
  const satom = (): T.SizeExpression => {
    const c = cur();
    if (c.k === 'num') {
      p++;
      return { kind: 'natural', value: Number(c.t), span: span(c.s) };
    }
    if (opt('(')) {
      const r = size();
      eat(')');
      return r;
    }
    const i = id();
    return { kind: 'name', name: i.name, span: i.span };
  };
  const dim = (): T.DimExpression => {
    const s = cur().s;
    const z = size();
    let placement: T.PlacementExpression = { kind: 'none' };
    if (opt('@')) {
      if (is('?')) {
        p++;
        placement = { kind: 'hole', span: span(s) };
      } else if (opt('(')) placement = { kind: 'axes', axes: list(')', id) };
      else placement = { kind: 'axes', axes: [id()] };
    }
    return { size: z, placement, span: span(s) };
  };
  const pendings = (): T.PendingExpression[] =>
    is('{') && cur().adj && (la(1).t === '+' || la(1).t === 'max')
      ? (p++,
        list('}', () => {
          const r = opt('+') ? ('sum' as const) : (eat('max'), 'max' as const);
          return { reduction: r, axis: id() };
        }))
      : [];
  const type = (): T.TypeExpression => {
    const s = cur().s;
    if (opt('(')) {
      const elements = list(')', type);
      return { kind: 'tuple', elements, span: span(s) };
    }
    const a = id();
    let pth: T.Path = { qualifier: undefined, name: a, span: a.span };
    if (opt('.')) {
      const n = id();
      pth = { qualifier: a, name: n, span: span(s) };
    }
    const sizes = is('(') && cur().adj ? (p++, list(')', size)) : [];
    const dims = is('[') && cur().adj ? (p++, list(']', dim)) : [];
    const pending = pendings();
    return { kind: 'named', path: pth, sizes, dims, pending, span: span(s) };
  };
  const facts = (): T.Fact[] => {
    const r: T.Fact[] = [];
    if (!opt('where')) return r;
    do {
      const s = cur().s;
      const left = size();
      if (opt('%')) {
        const right = size();
        eat('==');
        eat('0');
        r.push({ relation: '%', left, right, span: span(s) });
      } else {
        const rel = toks[p++]!.t as '<=';
        const right = size();
        r.push({ relation: rel, left, right, span: span(s) });
      }
    } while (opt(','));
    return r;
  };
  const idx = (): Extract<T.IndexPattern, { kind: 'index' }> => {
    const s = cur().s;
    const name = id();
    const bound = opt('<') ? size() : undefined;
    return { kind: 'index', name, bound, span: span(s) };
  };
  const ipat = (): T.IndexPattern => {
    const s = cur().s;
    if (opt('(')) {
      const parts = list(')', idx);
      return { kind: 'tuple', parts, span: span(s) };
    }
    return idx();
  };
  const ipats = (): T.IndexPattern[] => {
    const r = [ipat()];
    while (opt(',')) r.push(ipat());
    return r;
  };
  const pat = (): T.LetPattern => {
    const s = cur().s;
    if (opt('(')) {
      const elements = list(')', pat);
      return { kind: 'tuple', elements, span: span(s) };
    }
    const name = id();
    if (is('[') && cur().adj) {
      p++;
      const indices = list(']', ipat);
      return { kind: 'element', name, indices, span: span(s) };
    }
    return { kind: 'name', name, span: span(s) };
  };
  const block = (): T.Expression => {
    const s = cur().s;
    eat('{');
    const bindings: T.Binding[] = [];
    while (is('let')) {
      const bs = cur().s;
      p++;
      const pattern = pat();
      const ty = opt(':') ? type() : undefined;
      eat('=');
      const value = expr();
      bindings.push({ pattern, type: ty, value, span: span(bs) });
    }
    const result = expr();
    eat('}');
    return { kind: 'block', bindings, result, span: span(s) };
  };
  const low = (): T.Expression | undefined => {
    const c = cur(),
      s = c.s;
    if (c.k !== 'id') return undefined;
    if (c.t === 'for') {
      p++;
      const indices = ipats();
      eat(':');
      const body = expr();
      return { kind: 'comprehension', indices, body, span: span(s) };
    }
    if (
      (T.reductionNames as readonly string[]).includes(c.t) &&
      (la(1).k === 'id' || (la(1).t === '(' && !la(1).adj))
    ) {
      p++;
      const indices = ipats();
      eat(':');
      const body = expr();
      return { kind: 'reduction', reduction: c.t as T.ReductionName, indices, body, span: span(s) };
    }
    if (c.t === 'if') {
      p++;
      const condition = expr();
      eat('then');
      const then = expr();
      eat('else');
      const otherwise = expr();
      return { kind: 'if', condition, then, otherwise, span: span(s) };
    }
    if (c.t === 'fold' || c.t === 'scan') {
      p++;
      let items: any;
      const sv = p;
      const pt = pat();
      if (opt('in')) items = { kind: 'rows', pattern: pt, sequence: expr() };
      else {
        p = sv;
        const index = id();
        eat('<');
        items = { kind: 'count', index, bound: size() };
      }
      eat('from');
      const state = pat();
      eat('=');
      const initial = expr();
      eat(':');
      const body = expr();
      return { kind: 'loop', loop: c.t, items, state, initial, body, span: span(s) };
    }
    if (c.t === 'per_device') {
      p++;
      const axes = is('(') ? (p++, list(')', id)) : [id()];
      eat('(');
      const captures = list(')', id);
      const body = block();
      return { kind: 'perDevice', axes, captures, body, span: span(s) };
    }
    if (c.t === 'ring' && la(1).k === 'id') {
      p++;
      const axis = id();
      eat('(');
      const travelling = list(')', id);
      eat('from');
      const state = pat();
      eat('=');
      const initial = expr();
      const src = opt('at') ? id() : undefined;
      const body = block();
      return { kind: 'ring', axis, travelling, state, initial, source: src, body, span: span(s) };
    }
    return undefined;
  };
  const levels: string[][] = [
    ['or'],
    ['and'],
    ['NOT'],
    ['==', '!=', '<', '<=', '>', '>='],
    ['+', '-'],
    ['*', '/', '%'],
  ];
  const bin = (l: number): T.Expression => {
    const s = cur().s;
    if (l === levels.length) return unary();
    if (l === 2) {
      if (is('not')) {
        p++;
        const operand = bin(2);
        return { kind: 'unary', operator: 'not', operand, span: span(s) };
      }
      return bin(3);
    }
    let left = bin(l + 1);
    while (levels[l]!.includes(cur().t) && cur().k !== 'str') {
      const operator = toks[p++]!.t as T.BinaryOperator;
      const right = low() ?? bin(l + 1);
      left = { kind: 'binary', operator, left, right, span: span(s) };
      if (l === 3) break;
    }
    return left;
  };
  const unary = (): T.Expression => {
    const s = cur().s;
    if (opt('-')) {
      const operand = low() ?? unary();
      return { kind: 'unary', operator: '-', operand, span: span(s) };
    }
    return post();
  };
  const arg = (): T.Argument => {
    const s = cur().s;
    if (cur().k === 'id' && la(1).t === ':') {
      const name = id();
      eat(':');
      const value = expr();
      return { kind: 'value', name, value, span: span(s) };
    }
    const sv = p;
    try {
      const from = size();
      if (is('->')) {
        p++;
        const to = size();
        return { kind: 'move', from, to, span: span(s) };
      }
    } catch {
      /**/
    }
    p = sv;
    const value = expr();
    return { kind: 'value', name: undefined, value, span: span(s) };
  };
  const post = (): T.Expression => {
    const s = cur().s;
    let e = prim();
    for (;;) {
      if (is('(') && cur().adj) {
        p++;
        const a = list(')', arg);
        let sizes: T.SizeExpression[] = [];
        if (e.kind === 'subscript') {
          sizes = e.subscripts.map((q) => toSize((q as any).value));
          e = e.base;
        }
        e = { kind: 'call', callee: e, sizes, arguments: a, span: span(s) };
      } else if (is('[') && cur().adj) {
        p++;
        const subscripts = list(']', (): T.Subscript => {
          const q = cur().s;
          if (opt(':')) return { kind: 'whole', span: span(q) };
          const value = expr();
          return { kind: 'at', value, span: span(q) };
        });
        e = { kind: 'subscript', base: e, subscripts, span: span(s) };
      } else if (is('.')) {
        p++;
        const name = id();
        e = { kind: 'field', base: e, name, span: span(s) };
      } else if (is('as') && la(1).t === '[') {
        p += 2;
        const dims = list(']', dim);
        const pending = pendings();
        e = { kind: 'reshard', value: e, dims, pending, span: span(s) };
      } else return e;
    }
  };
  const toSize = (e: T.Expression): T.SizeExpression =>
    e.kind === 'number'
      ? { kind: 'natural', value: Number(e.text), span: e.span }
      : e.kind === 'name'
        ? { kind: 'name', name: e.name, span: e.span }
        : e.kind === 'binary'
          ? {
              kind: 'binary',
              operator: e.operator as '+',
              left: toSize(e.left),
              right: toSize(e.right),
              span: e.span,
            }
          : fail('expected a size');
  const prim = (): T.Expression => {
    const c = cur(),
      s = c.s;
    const l = low();
    if (l) return l;
    if (c.k === 'num') {
      p++;
      return { kind: 'number', text: c.t, span: span(s) };
    }
    if (is('{')) return block();
    if (opt('(')) {
      const first = expr();
      if (is(',')) {
        const elements = [first];
        while (opt(',') && !is(')')) elements.push(expr());
        eat(')');
        return { kind: 'tuple', elements, span: span(s) };
      }
      eat(')');
      return first;
    }
    if (is('true') || is('false')) {
      p++;
      return { kind: 'boolean', value: c.t === 'true', span: span(s) };
    }
    const i = id();
    return { kind: 'name', name: i.name, span: i.span };
  };
  const expr = (): T.Expression => low() ?? bin(0);
  const decl = (): T.Declaration => {
    const s = cur().s;
    const documentation =
      comments
        .filter(
          (q) =>
            q.kind === 'documentation' &&
            q.span.end <= s &&
            text
              .slice(q.span.end, s)
              .replace(/\/\/[^\n]*/g, '')
              .trim() === '',
        )
        .map((q) => q.text.trim())
        .join('\n') || undefined;
    if (opt('import')) {
      const c = cur();
      p++;
      const from =
        c.k === 'str'
          ? { kind: 'file' as const, text: c.t.slice(1, -1), span: span(c.s) }
          : { kind: 'name' as const, text: c.t, span: span(c.s) };
      const names = is('(') ? (p++, list(')', id)) : [];
      const alias = opt('as') ? id() : undefined;
      return { kind: 'import', from, alias, names, span: span(s) };
    }
    if (opt('mesh')) {
      eat('(');
      const axes = list(')', id);
      return { kind: 'mesh', axes, span: span(s) };
    }
    const exported = opt('export');
    if (opt('type')) {
      const name = id();
      const sizes = opt('(') ? list(')', id) : [];
      eat('=');
      eat('{');
      const fields = list('}', () => {
        const n = id();
        eat(':');
        return { name: n, type: type() };
      });
      return { kind: 'record', name, sizes, fields, documentation, exported, span: span(s) };
    }
    const auto = opt('auto');
    eat('fn');
    const name = id();
    const sizes = opt('[') ? list(']', id) : [];
    eat('(');
    const parameters = list(')', (): T.Parameter => {
      const q = cur().s;
      const n = id();
      eat(':');
      const ty = type();
      return { name: n, type: ty, span: span(q) };
    });
    eat('->');
    const result = type();
    const fs = facts();
    const braces = is('{');
    const body = braces ? block() : (eat('='), expr());
    return {
      kind: 'function',
      name,
      exported,
      auto,
      sizes,
      parameters,
      result,
      facts: fs,
      body,
      braces,
      documentation,
      span: span(s),
    };
  };
  const diagnostics: Diagnostic[] = [];
  const declarations: T.Declaration[] = [];
  let name: T.Identifier | undefined;
  try {
    if (opt('module')) name = id();
    while (cur().k !== 'eof') declarations.push(decl());
  } catch (e) {
    if (!(e instanceof Fail)) throw e;
    diagnostics.push({
      severity: 'error',
      code: 'E0101',
      message: e.message,
      primary: { span: { file: path, start: e.tok.s, end: e.tok.e }, message: 'here' },
      secondary: [],
      notes: [],
      help: ['check the syntax'],
      fixes: [],
    });
  }
  return {
    module: { path, name, declarations, comments, span: { file: path, start: 0, end: text.length } },
    diagnostics,
  };
}
