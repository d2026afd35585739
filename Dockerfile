# Holdfast runs from its TypeScript sources: there is nothing to build, only dependencies to install.
#
#   docker build --tag holdfast:local .
#   docker buildx build --platform linux/amd64,linux/arm64 --tag registry.example/holdfast:0.1.0 --push .
#
# The Node that the tests run on (package.json). A tag: whoever publishes an image pins what it was built from,
# --build-arg NODE_IMAGE=node:...@sha256:... (docs/deployment.md). Slim and not distroless: `holdfast run` needs a shell.
ARG NODE_IMAGE=node:24.21.0-bookworm-slim

# On the builder's own processor, whatever the image is for: without optional parts the dependencies are JavaScript alone.
FROM --platform=$BUILDPLATFORM ${NODE_IMAGE} AS dependencies
WORKDIR /opt/holdfast
COPY package.json package-lock.json .npmrc ./
# A workspace of the lock file: `holdfast run` uses the TypeScript client from its sources.
COPY clients/typescript/package.json ./clients/typescript/
# Exactly what is locked, without what only tests and linters need, and without running anything of theirs.
RUN npm ci --omit=dev --omit=optional --ignore-scripts --loglevel=error \
 && test -z "$(find node_modules -name '*.node')" \
 && mkdir -p /state/holdfast

# Only copies: nothing of this stage runs while it is built, so no other processor has to be emulated.
FROM ${NODE_IMAGE}
LABEL org.opencontainers.image.title="holdfast" \
      org.opencontainers.image.description="A gRPC lock service over a majority of independent Redis nodes" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /opt/holdfast
COPY --from=dependencies /opt/holdfast/node_modules ./node_modules
COPY package.json LICENSE ./
COPY bin ./bin
COPY proto ./proto
COPY clients/typescript/package.json ./clients/typescript/
COPY clients/typescript/src ./clients/typescript/src
COPY src ./src
# What is written, and nothing else is: history and audit log. Mount a volume there to keep them, or to have them at
# all under a read-only root.
COPY --from=dependencies --chown=1000:1000 /state/holdfast /var/lib/holdfast
# The unprivileged user `node` of the image; it can read everything here and write only there.
USER 1000:1000
EXPOSE 7420 7421
# Beyond loopback, as a container must: the service starts like this only when it knows its callers
# (HOLDFAST_ACCESS, HOLDFAST_TLS_CERT), or when somebody says HOLDFAST_ALLOW_INSECURE=1.
# XDG_STATE_HOME: HOLDFAST_ARCHIVE=auto keeps its history in /var/lib/holdfast.
ENV NODE_ENV=production \
    XDG_STATE_HOME=/var/lib \
    HOLDFAST_LISTEN=0.0.0.0:7420 \
    HOLDFAST_HTTP_LISTEN=0.0.0.0:7421
# Healthy: a majority of the lock nodes is ready. A replica without one is no use, and restarting it does not help:
# point liveness probes at /livez instead (docs/operations.md). It asks 127.0.0.1:7420 unless HOLDFAST_ADDRESS says otherwise;
# over TLS it wants HOLDFAST_CLIENT_CA.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 \
  CMD ["/opt/holdfast/bin/holdfast", "health", "--timeout", "3s"]
ENTRYPOINT ["/opt/holdfast/bin/holdfast"]
CMD ["serve"]
