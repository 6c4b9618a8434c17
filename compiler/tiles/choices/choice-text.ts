/** Choices as text: `tiles staging=lanes threadRows=1 … panels=no`, for people, and back. */
import { type Choice, choiceSchema, partsOf } from './choice.ts';

/** Equal choices have equal texts. */
export function printChoice(choice: Choice): string {
  const values: Readonly<Record<string, string | number | boolean>> = choice;
  const parts = partsOf(choice.form).map((name) => `${name}=${valueText(values[name]!)}`);
  return [choice.form, ...parts].join(' ');
}

function valueText(value: string | number | boolean): string {
  return typeof value === 'boolean' ? (value ? 'yes' : 'no') : String(value);
}

/** What `printChoice` printed; or what is wrong with the text. */
export function parseChoice(text: string): Choice | { readonly wrong: string } {
  const [form = '', ...words] = text.trim().split(/\s+/);
  const parts = words.map((word) => /^(\w+)=(\w+)$/.exec(word));
  const at = parts.indexOf(null);
  if (at >= 0) return { wrong: `'${words[at]}' is not name=value` };
  const entries = parts.map((match) => [match![1]!, parsedValue(match![2]!)] as const);
  const twice = entries.find(([name], place) => entries.findIndex(([other]) => other === name) !== place);
  if (twice !== undefined) return { wrong: `'${twice[0]}' is given twice` };
  const parsed = choiceSchema.safeParse({ ...Object.fromEntries(entries), form });
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  return { wrong: `${issue.path.length === 0 ? form : issue.path.join('.')}: ${issue.message}` };
}

function parsedValue(text: string): string | number | boolean {
  if (/^\d+$/.test(text)) return Number(text);
  return text === 'yes' || text === 'no' ? text === 'yes' : text;
}
