declare module 'swagger-ui-dist/swagger-ui-bundle.js' {
  interface SwaggerUI {
    (options: Record<string, unknown>): unknown;
    presets: { apis: unknown };
  }
  const bundle: SwaggerUI;
  export default bundle;
}

declare module 'redoc/bundles/redoc.standalone.js' {
  export function init(documentUrl: string, options: object, element: HTMLElement): void;
}
