// Three clients made for browsers, behind one shape: what they share is all that the checks need.
//
//   unary(method, request, options)   the answer
//   stream(method, request, options)  an async iterable of answers
//
// Options: token, headers, signal. What goes wrong is thrown as { code, message, details }, with the
// bytes of `grpc-status-details-bin` where the client shows them.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import grpcWebPackage from "grpc-web";
import { Metadata } from "nice-grpc-common";
import { ClientError, createChannel, createClient as createNiceClient } from "nice-grpc-web";

const { GrpcWebClientBase, MethodDescriptor, MethodType } = grpcWebPackage;

const headersOf = ({ token, headers }) => ({
  ...(token ? { authorization: `Bearer ${token}` } : {}),
  ...headers,
});

export const bytes = (base64) => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));

function connect(at) {
  const transport = createGrpcWebTransport({ baseUrl: at });
  const failure = (error) => {
    const known = ConnectError.from(error);
    return { code: known.code, message: known.rawMessage, details: known.metadata.get("grpc-status-details-bin") };
  };
  const client = (method) => createClient(method.parent, transport);
  return {
    async unary(method, request, options = {}) {
      const call = client(method)[method.localName];
      try {
        return await call(create(method.input, request), { headers: headersOf(options), signal: options.signal });
      } catch (error) {
        throw failure(error);
      }
    },
    async *stream(method, request, options = {}) {
      const call = client(method)[method.localName];
      try {
        yield* call(create(method.input, request), { headers: headersOf(options), signal: options.signal });
      } catch (error) {
        throw failure(error);
      }
    },
  };
}

// In text mode its messages travel in base64.
function grpcWeb(at, format) {
  const client = new GrpcWebClientBase({ format });
  const path = (method) => `${at}/${method.parent.typeName}/${method.name}`;
  const descriptor = (method, type) =>
    new MethodDescriptor(
      `/${method.parent.typeName}/${method.name}`,
      type,
      Object,
      Object,
      (message) => toBinary(method.input, message),
      (data) => fromBinary(method.output, data),
    );
  const failure = ({ code, message, metadata = {} }) => ({
    code,
    message,
    details: metadata["grpc-status-details-bin"],
  });
  return {
    async unary(method, request, options = {}) {
      const message = create(method.input, request);
      const unary = descriptor(method, MethodType.UNARY);
      try {
        return await client.unaryCall(path(method), message, headersOf(options), unary, {
          signal: options.signal,
        });
      } catch (error) {
        throw failure(error);
      }
    },
    async *stream(method, request, options = {}) {
      const message = create(method.input, request);
      const streaming = descriptor(method, MethodType.SERVER_STREAMING);
      const call = client.serverStreaming(path(method), message, headersOf(options), streaming);
      options.signal?.addEventListener("abort", () => call.cancel());
      yield* queued((push, end) => {
        call.on("data", push);
        call.on("error", (error) => end(failure(error)));
        call.on("end", () => end());
        options.signal?.addEventListener("abort", () => end({ code: Code.Canceled, message: "aborted" }));
      });
    },
  };
}

function nice(at) {
  const definition = (method, responseStream) => ({
    call: {
      path: `/${method.parent.typeName}/${method.name}`,
      requestStream: false,
      responseStream,
      requestSerialize: (message) => toBinary(method.input, message),
      requestDeserialize: (data) => fromBinary(method.input, data),
      responseSerialize: (message) => toBinary(method.output, message),
      responseDeserialize: (data) => fromBinary(method.output, data),
      options: {},
    },
  });
  const prepared = (method, options, responseStream) => {
    const seen = {};
    const note = (metadata) => {
      const [details] = metadata.getAll("grpc-status-details-bin");
      if (details) seen.details = btoa(String.fromCharCode(...details));
    };
    const client = createNiceClient(definition(method, responseStream), createChannel(at));
    const callOptions = {
      metadata: Metadata(headersOf(options)),
      signal: options.signal,
      onHeader: note,
      onTrailer: note,
    };
    const failure = (error) =>
      error instanceof ClientError
        ? { code: error.code, message: error.details, details: seen.details }
        : { code: options.signal?.aborted ? Code.Canceled : Code.Unknown, message: `${error}` };
    return { client, callOptions, failure };
  };
  return {
    async unary(method, request, options = {}) {
      const { client, callOptions, failure } = prepared(method, options, false);
      try {
        return await client.call(create(method.input, request), callOptions);
      } catch (error) {
        throw failure(error);
      }
    },
    async *stream(method, request, options = {}) {
      const { client, callOptions, failure } = prepared(method, options, true);
      try {
        yield* client.call(create(method.input, request), callOptions);
      } catch (error) {
        throw failure(error);
      }
    },
  };
}

// An async iterable of what callbacks bring.
async function* queued(subscribe) {
  const waiting = [];
  let wake;
  const add = (entry) => {
    waiting.push(entry);
    wake?.();
  };
  subscribe(
    (value) => add({ value }),
    (error) => add(error ? { error } : { done: true }),
  );
  for (;;) {
    while (waiting.length === 0) await new Promise((resolve) => (wake = resolve));
    const { value, error, done } = waiting.shift();
    if (error) throw error;
    if (done) return;
    yield value;
  }
}

// By name, as the checks call them.
export const clients = (at) => ({
  connect: connect(at),
  "grpc-web": grpcWeb(at, "text"),
  "nice-grpc-web": nice(at),
});
