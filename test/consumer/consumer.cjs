// A CommonJS project that uses the package: .ci/package runs it beside the installed package.
void (async () => {
  const { createEchoServer } = await import('kecho-pool');
  const server = createEchoServer({ port: 0, strategy: 'kthread', logLevel: 'silent' });
  const { port } = await server.listen();
  await server.close();
  if (port === 0) process.exit(1);
})();
