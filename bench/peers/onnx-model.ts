/** Models in ONNX's format, as small as they may be: nodes, and tensors of f32, i32 and i64. */
import { importPeer } from './peer.ts';

/** The fields that are used, of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3. */
const schema = `
syntax = "proto3";
message Attribute {
  string name = 1; int64 i = 3; bytes s = 4; repeated int64 ints = 8; int32 type = 20;
}
message Node {
  repeated string input = 1; repeated string output = 2; string name = 3; string op_type = 4;
  repeated Attribute attribute = 5; string domain = 7;
}
message Tensor { repeated int64 dims = 1; int32 data_type = 2; string name = 8; bytes raw_data = 9; }
message Dimension { int64 dim_value = 1; }
message Shape { repeated Dimension dim = 1; }
message TensorType { int32 elem_type = 1; Shape shape = 2; }
message Type { TensorType tensor_type = 1; }
message ValueInfo { string name = 1; Type type = 2; }
message Graph {
  repeated Node node = 1; string name = 2; repeated Tensor initializer = 5;
  repeated ValueInfo input = 11; repeated ValueInfo output = 12;
}
message Operators { string domain = 1; int64 version = 2; }
message Model {
  int64 ir_version = 1; string producer_name = 2; Graph graph = 7; repeated Operators opset_import = 8;
}
`;

interface Protobuf {
  readonly parse: (
    text: string,
    options: { readonly keepCase: boolean },
  ) => { readonly root: { readonly lookupType: (name: string) => MessageType } };
}

interface MessageType {
  readonly fromObject: (value: object) => object;
  readonly encode: (message: object) => { readonly finish: () => Uint8Array };
}

type AttributeValue = number | string | readonly number[];

export interface OnnxNode {
  readonly op: string;
  readonly takes: readonly string[];
  readonly gives: string;
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
  /** That of ONNX itself if not given. */
  readonly domain?: string;
}

export interface OnnxTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array | BigInt64Array;
}

export interface OnnxModel {
  readonly nodes: readonly OnnxNode[];
  readonly inputs: readonly Omit<OnnxTensor, 'values'>[];
  /** The one output, `y`. */
  readonly output: readonly number[];
  readonly constants?: readonly OnnxTensor[];
}

const elementTypes = { f32: 1, i64: 7 } as const;
const attributeTypes = { int: 2, text: 3, ints: 7 } as const;

export async function encodeModel(model: OnnxModel): Promise<Uint8Array> {
  const module = (await importPeer('protobufjs')) as { readonly default: Protobuf };
  const type = module.default.parse(schema, { keepCase: true }).root.lookupType('Model');
  const info = (name: string, shape: readonly number[]) => ({
    name,
    type: {
      tensor_type: {
        elem_type: elementTypes.f32,
        shape: { dim: shape.map((extent) => ({ dim_value: extent })) },
      },
    },
  });
  const message = type.fromObject({
    ir_version: 10,
    producer_name: 'ricci-bench',
    opset_import: [
      { domain: '', version: 21 },
      { domain: 'com.microsoft', version: 1 },
    ],
    graph: {
      name: 'graph',
      node: model.nodes.map(({ op, takes, gives, attributes = {}, domain = '' }) => ({
        ...{ input: takes, output: gives.split(' '), name: gives, op_type: op, domain },
        attribute: Object.entries(attributes).map(([name, value]) => ({ name, ...attribute(value) })),
      })),
      initializer: (model.constants ?? []).map(({ name, shape, values }) => ({
        name,
        dims: shape,
        data_type: values instanceof Float32Array ? elementTypes.f32 : elementTypes.i64,
        raw_data: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
      })),
      input: model.inputs.map(({ name, shape }) => info(name, shape)),
      output: [info('y', model.output)],
    },
  });
  return type.encode(message).finish();
}

function attribute(value: AttributeValue): object {
  if (typeof value === 'number') return { i: value, type: attributeTypes.int };
  if (typeof value === 'string') return { s: new TextEncoder().encode(value), type: attributeTypes.text };
  return { ints: value, type: attributeTypes.ints };
}
