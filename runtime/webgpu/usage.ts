/** The standard's flags: browsers have them as global objects, Node does not. */

export const bufferUsage = {
  mapRead: 0x0001,
  copySource: 0x0004,
  copyDestination: 0x0008,
  uniform: 0x0040,
  storage: 0x0080,
  queryResolve: 0x0200,
} as const;

export const computeStage = 0x4;
export const mapForReading = 0x1;
