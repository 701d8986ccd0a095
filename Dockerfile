# syntax=docker/dockerfile:1
ARG NODE_VERSION=24.21.0

# setup/rootfs.mjs makes the whole root file system; test/package/rootfs.test.ts starts the program in what it makes.
FROM node:${NODE_VERSION}-bookworm-slim AS build
RUN apt-get update \
  && apt-get install --yes --no-install-recommends ca-certificates \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN node setup/rootfs.mjs /rootfs

FROM scratch
COPY --from=build /rootfs/ /
COPY --from=build --chown=10001:10001 --chmod=700 /rootfs/var/lib/alter /var/lib/alter
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Alter Egress" \
  org.opencontainers.image.description="Egress proxy that hands credentials to workloads on the wire: the workload never holds one" \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}"
ENV PATH=/usr/local/bin:/bin HOME=/var/lib/alter
USER 10001:10001
# State and what the first start makes: .alter in here. All else may be read-only.
WORKDIR /var/lib/alter
EXPOSE 3128 4180 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["/usr/local/bin/alter", "ready"]
ENTRYPOINT ["/usr/local/bin/alter"]
CMD ["serve"]
