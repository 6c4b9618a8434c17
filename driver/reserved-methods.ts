/**
 * The model's own methods: entries of these names are not methods of it, but are called by name, with `call`.
 */
export const reservedMethods: ReadonlySet<string> = new Set(['call', 'close', 'webgpu']);
