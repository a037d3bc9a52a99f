/** The inner module of `xmlrpc` that is used; the package's types leave it out. */
declare module 'xmlrpc/lib/serializer.js' {
  const serializer: { serializeMethodCall(method: string, params: readonly unknown[]): string };
  export default serializer;
}
