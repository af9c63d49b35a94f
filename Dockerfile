# The image of retentiond, and with `--target demo` that of the demo's preparation.
#
# Builds with the classic builder and without a network if the context has a node_modules that was
# made by `npm ci`; otherwise the base image needs npm, and npm a registry. Both ways end with the
# same packages: those that package-lock.json does not mark as development.

ARG NODE_IMAGE=node:24-bookworm-slim

# ------------------------------------------------------------------------------------------- build
FROM ${NODE_IMAGE} AS build
WORKDIR /build
COPY . .
# No install script of any package runs: none of what the image needs has one.
RUN if [ ! -d node_modules ]; then npm ci --ignore-scripts --no-audit --no-fund; fi
RUN node node_modules/typescript/bin/tsc -p tsconfig.build.json
RUN node deploy/production-modules.ts . /production
# The modes come from whoever made the context; the program must read its files as another user.
RUN chmod -R a+rX /build /production

# ----------------------------------------------------------------------------------------- program
FROM ${NODE_IMAGE} AS program
LABEL org.opencontainers.image.title="retentiond" \
      org.opencontainers.image.description="Enforces the retention rules of a privacy policy on PostgreSQL, and journals it" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
COPY --from=build /production/node_modules ./node_modules
COPY --from=build /build/package.json /build/LICENSE* ./
COPY --from=build /build/migrations ./migrations
COPY --from=build /build/dist ./dist
# A named volume that is mounted here for the first time takes over this owner.
RUN mkdir -p /policies /run/retentiond /anchors /state \
    && chown 65532:65532 /policies /run/retentiond /anchors /state
# Most of what a run allocates dies with its batch: with more room it would be collected late, and the
# process grow to 300 MiB.
ENV NODE_ENV=production \
    NODE_OPTIONS="--max-semi-space-size=2 --max-old-space-size=256" \
    RETENTIOND_POLICIES=/policies \
    RETENTIOND_LISTEN=0.0.0.0:8080
# A number, so that an orchestrator can see that it is not root; the image has no such user.
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.RETENTIOND_LISTEN.split(':').at(-1)}/livez`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/app/dist/main.js"]
CMD ["daemon"]

# -------------------------------------------------------------------------------------------- demo
FROM program AS demo
COPY --from=build /build/node_modules/@faker-js ./node_modules/@faker-js
COPY --from=build /build/deploy/demo ./deploy/demo
COPY --from=build /build/policies ./policies
HEALTHCHECK NONE
ENTRYPOINT ["node", "/app/deploy/demo/prepare.ts"]
CMD []

# -------------------------------------------------------------------------------------- retentiond
# Last, so that it is what a build without a target makes.
FROM program AS retentiond
