// The tensors of a checkpoint in the forms that plans give them, made when they are asked for: what a network of the model file would read,
// before there is a file.
import SoradModel
import SoradModelFile
import SoradSystem
import SoradTensor

final class PlannedWeights: WeightSource {
    let path: String
    /// By the name of a tensor of the model file.
    private let plans: [String: TensorPlan]
    /// Of the layer that was asked for last: a layer's tensors are asked for one after the other.
    private var last: (name: String, tensors: [String: Parameter]) = ("", [:])

    /// - Parameter path: what errors call the source.
    init(_ plans: [TensorPlan], path: String) {
        self.path = path
        self.plans = Dictionary(uniqueKeysWithValues: plans.flatMap { plan in plan.descriptions.map { ($0.name, plan) } })
    }

    func contains(_ name: String) -> Bool { plans[name] != nil }

    func type(of name: String) throws(SoradError) -> ElementType {
        let plan = try plan(of: name)
        // A table that would be half precision in the file is float here.
        if case .rows = plan.storage { return .f32 }
        return plan.descriptions.first { $0.name == name }?.type ?? .f32
    }

    func tensor(_ name: String, _ types: [ElementType], dims: [Int]) throws(SoradError) -> Parameter {
        let plan = try plan(of: name)
        if last.name != plan.rule.name { last = (plan.rule.name, try plan.parameters()) }
        guard let parameter = last.tensors[name], types.contains(parameter.elementType), parameter.count == dims.reduce(1, *) else {
            throw SoradError(.internalFault, "\(path): \(name) is no tensor of \(dims)")
        }
        return parameter
    }

    func hadamardGroup(_ name: String, inputs: Int) throws(SoradError) -> Int? { try plan(of: name + ".weight").rotation }

    private func plan(of name: String) throws(SoradError) -> TensorPlan {
        guard let plan = plans[name] else { throw SoradError(.internalFault, "\(path): no tensor \(name)") }
        return plan
    }
}

extension TensorPlan {
    /// The tensors as a network reads them, by name.
    fileprivate func parameters() throws(SoradError) -> [String: Parameter] {
        guard let packed = try packed() else { return [rule.name: Parameter(try tensor.floats())] }
        return packed.parameters
    }
}
