/** The two inner modules of `xmlrpc` that the adapter uses; the package's types leave them out. */
declare module 'xmlrpc/lib/serializer.js' {
  const serializer: { serializeMethodCall(method: string, params: readonly unknown[]): string };
  export default serializer;
}

declare module 'xmlrpc/lib/deserializer.js' {
  export interface Source {
    setEncoding(): void;
    on(): void;
    pipe(parser: { write(text: string): void; end(): void }): void;
  }
  export default class Deserializer {
    deserializeMethodResponse(source: Source, done: (error: unknown, value?: unknown) => void): void;
  }
}
