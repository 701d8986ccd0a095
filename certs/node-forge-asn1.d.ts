/** The one file of node-forge that is used; the package declares the types of its whole only. */
declare module 'node-forge/lib/asn1.js' {
  import type { asn1 } from 'node-forge';

  const module: typeof asn1;
  export default module;
}
