/**
 * chevrotain groups with `Object.groupBy`, which Node has from version 21. To be imported before chevrotain is
 * used; where the function is there, this does nothing.
 */
interface Grouping {
  groupBy?: <T>(items: Iterable<T>, keyOf: (item: T, index: number) => PropertyKey) => object;
}

(Object as Grouping).groupBy ??= (items, keyOf) => {
  const groups: Record<PropertyKey, unknown[]> = Object.create(null);
  let index = 0;
  for (const item of items) {
    const key = keyOf(item, index++);
    groups[key] ??= [];
    groups[key].push(item);
  }
  return groups;
};
