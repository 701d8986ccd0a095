import { describe, expect, it } from '@jest/globals';
import { describeApi } from '../../admin/http/openapi.ts';
import { routes } from '../../admin/routes.ts';

const document = JSON.parse(JSON.stringify(describeApi(routes)));

describe('the OpenAPI document', () => {
  it('is OpenAPI 3.1 and names exactly the routes of the table', () => {
    expect(document.openapi).toBe('3.1.0');
    expect(document.info).toMatchObject({ title: expect.any(String), version: expect.any(String) });
    const named = Object.entries<object>(document.paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(named.sort()).toEqual(routes.map((route) => `${route.method} ${route.path}`).sort());
    expect(named.length).toBeGreaterThan(20);
  });

  it('declares every parameter of a path, a unique operation id, a success and the problem', () => {
    const ids = new Set<string>();
    for (const route of routes) {
      const operation = document.paths[route.path][route.method.toLowerCase()];
      ids.add(operation.operationId);
      const declared = (operation.parameters ?? []).filter((parameter: { in: string }) => parameter.in === 'path');
      expect(declared.map(({ name }: { name: string }) => `{${name}}`)).toEqual(route.path.match(/\{\w+\}/g) ?? []);
      for (const parameter of declared) expect(parameter.required).toBe(true);
      expect(Object.keys(operation.responses).sort()).toEqual([String(route.status), 'default']);
      expect(operation.responses.default.content['application/problem+json']).toBeDefined();
      expect(operation.requestBody === undefined).toBe(route.body === undefined);
    }
    expect(ids.size).toBe(routes.length);
  });

  it('resolves every reference', () => {
    const text = JSON.stringify(document);
    const references = [...text.matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name!);
    expect(references.length).toBeGreaterThan(10);
    for (const name of references) expect(document.components.schemas).toHaveProperty(name);
  });

  it('closes every body to unknown fields and marks what is write-only', () => {
    const body = document.paths['/v1/apps/{app}/managed-secrets'].post.requestBody.content['application/json'].schema;
    expect(body.additionalProperties).toBe(false);
    expect(body.required).toEqual(['name']);
    expect(body.properties.credential_value.writeOnly).toBe(true);
    expect(body.properties.credentials.writeOnly).toBe(true);
  });
});
