/**
 * What is made of a header name, remembered by its spelling: peers repeat their names, and lowering and comparing one costs
 * several times a look-up. `make` gets the name in small letters. Only the first thousand short names are kept, so that
 * nobody can fill memory with names.
 */
export function byHeaderName<T>(make: (lower: string) => T): (name: string) => T {
  const known = new Map<string, T>();
  return (name) => {
    const found = known.get(name);
    if (found !== undefined) return found;
    const made = make(name.toLowerCase());
    if (known.size < maxKnown && name.length <= maxKnownLength) known.set(name, made);
    return made;
  };
}

const maxKnown = 1_000;
const maxKnownLength = 64;
