# Holdfast runs from its TypeScript sources: there is nothing to build, only dependencies to install.

FROM node:24-bookworm-slim AS dependencies
WORKDIR /opt/holdfast
COPY package.json package-lock.json .npmrc ./
# A workspace of the lock file: `holdfast run` uses the TypeScript client from its sources.
COPY clients/typescript/package.json ./clients/typescript/
# Exactly what is locked, without what only tests and linters need.
RUN npm ci --omit=dev --loglevel=error

FROM node:24-bookworm-slim
LABEL org.opencontainers.image.title="holdfast" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production
WORKDIR /opt/holdfast
COPY --from=dependencies /opt/holdfast/node_modules ./node_modules
COPY package.json ./
COPY bin ./bin
COPY proto ./proto
COPY src ./src
COPY clients/typescript/package.json ./clients/typescript/
COPY clients/typescript/src ./clients/typescript/src
# The unprivileged user `node` of the image; it can read everything here and write nothing.
USER 1000:1000
EXPOSE 7420 7421
# Beyond loopback, as a container must. The service refuses to start like this until somebody says
# HOLDFAST_ALLOW_INSECURE=1, because it does not authenticate its callers yet.
ENV HOLDFAST_LISTEN=0.0.0.0:7420 \
    HOLDFAST_HTTP_LISTEN=0.0.0.0:7421
# Healthy: a majority of the lock nodes is ready. A replica without one is no use, and restarting it does not help:
# point liveness probes at /livez instead (docs/operations.md).
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 \
  CMD ["/opt/holdfast/bin/holdfast", "health", "--address", "127.0.0.1:7420", "--timeout", "3s"]
ENTRYPOINT ["/opt/holdfast/bin/holdfast"]
CMD ["serve"]
