// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Controller} from "../../src/Controller.sol";
import {Manager} from "../../src/Manager.sol";
import {Nexus} from "../../src/Nexus.sol";
import {Response} from "../../src/Response.sol";
import {Source} from "../../src/Source.sol";
import {Task} from "../../src/Task.sol";
import {Terminal} from "../../src/Terminal.sol";
import {Vault} from "../../src/Vault.sol";
import {
    DeliveryMethod,
    ResponseParams,
    ResponseStatus,
    SourceParams,
    TaskParams,
    TaskStatus
} from "../../src/interfaces/Types.sol";
import {vm} from "./Vm.sol";

/// @notice The five contracts, deployed and wired as contracts/README.md says; this contract is the admin.
abstract contract Fixture {
    uint256 internal constant STAKE = 10 ether;
    uint256 internal constant PAYMENT = 1 ether;
    uint256 internal constant HOUR = 1 hours;
    uint256 internal constant START = 1_700_000_000;
    uint8 internal constant CPU = 1;
    uint8 internal constant NVIDIA = 2;
    uint8 internal constant AMD = 4;
    address internal constant THE_ORDER = 0x306Dc3fF30254675B209D916475094401aCC4a1E;

    Manager internal manager;
    Terminal internal terminal;
    Nexus internal nexus;
    Vault internal vault;
    Controller internal controller;

    address internal admin = address(this);
    address internal judge = _account("judge");
    address internal client = _account("client");
    address internal client2 = _account("client2");
    address internal clientAgent = _account("clientAgent");
    address internal provider = _account("provider");
    address internal provider2 = _account("provider2");
    address internal provider3 = _account("provider3");
    address internal master = _account("master");
    address internal master2 = _account("master2");
    address internal master3 = _account("master3");
    address internal masterAgent = _account("masterAgent");
    address internal stranger = _account("stranger");

    function setUp() public virtual {
        vm.warp(START);
        manager = new Manager();
        terminal = new Terminal(address(manager), address(0));
        nexus = new Nexus(address(manager), address(terminal), address(0));
        vault = new Vault(address(manager), address(nexus), address(terminal));
        controller = new Controller(address(nexus), address(terminal), address(vault));
        terminal.setVault(address(vault));
        nexus.setVault(address(vault));
        manager.grantRole(manager.CONTROLLER(), address(nexus));
        manager.grantRole(manager.CONTROLLER(), address(controller));
        manager.grantRole(manager.getRoleAdmin(manager.PROVIDER()), address(terminal));
        manager.grantRole(manager.JUDGE(), judge);
    }

    function _account(string memory name) internal pure returns (address) {
        return address(uint160(uint256(keccak256(bytes(name)))));
    }

    function _deposit(address account, uint256 amount) internal {
        vm.deal(account, account.balance + amount);
        vm.prank(account);
        vault.deposit{value: amount}(account);
    }

    function _stake(address account, uint256 amount) internal {
        _deposit(account, amount);
        vm.prank(account);
        vault.lock(amount);
    }

    function _pair(address provider_, address master_) internal {
        vm.prank(master_);
        terminal.announceProvider(provider_, 0);
        vm.prank(provider_);
        terminal.announceMaster(master_);
    }

    function _setAgent(address account, address agent) internal {
        vm.prank(account);
        terminal.setAgent(agent, true);
    }

    function _sourceParams(address client_, DeliveryMethod method) internal pure returns (SourceParams memory) {
        return SourceParams({
            client: client_,
            imageMetadataUrl: "metadata",
            imageEnvironments: CPU | NVIDIA,
            minPayment: 0.1 ether,
            minAvailableLockup: 12 ether,
            maxExpiryDuration: 1 days,
            privacyEnabled: true,
            optionalParamsUrl: "optional",
            deliveryMethod: method,
            lastUpdateTime: 5
        });
    }

    /// @notice A source of a client that is given the stake for it.
    function _publishSource(address client_, DeliveryMethod method) internal returns (Source) {
        _stake(client_, STAKE);
        SourceParams memory params = _sourceParams(client_, method);
        vm.prank(client_);
        nexus.publishSource(params);
        return Source(nexus.sources(nexus.getSourceCount() - 1));
    }

    function _nextTask() internal view returns (Task) {
        return Task(vm.computeCreateAddress(address(controller), vm.getNonce(address(controller))));
    }

    function _nextFromNexus() internal view returns (address) {
        return vm.computeCreateAddress(address(nexus), vm.getNonce(address(nexus)));
    }

    function _taskParams(Source source) internal view returns (TaskParams memory) {
        return TaskParams(address(source), "config", block.timestamp + HOUR, PAYMENT);
    }

    /// @notice A task of a client that is given the payment for it; it expires after an hour.
    function _publishTask(address client_, Source source) internal returns (Task task) {
        _deposit(client_, PAYMENT);
        TaskParams memory params = _taskParams(source);
        task = _nextTask();
        vm.prank(client_);
        controller.publishTask(params);
    }

    /// @notice Pairs, stakes and registers a provider.
    function _enlist(Source source, address provider_, address master_) internal {
        _pair(provider_, master_);
        _stake(provider_, 12 ether);
        vm.prank(provider_);
        nexus.register(address(source), provider_, CPU);
    }

    function _attempt(Task task, address provider_) internal {
        vm.prank(provider_);
        nexus.attempt(address(task), provider_, PAYMENT);
    }

    function _respond(Task task, address provider_, string memory data, uint256 price) internal returns (Response) {
        vm.prank(provider_);
        nexus.submitResponse(ResponseParams(address(task), provider_, data, price));
        return Response(task.responseOf(provider_));
    }

    function _assertStatus(Task task, TaskStatus status) internal view {
        vm.assertEq(uint256(task.status()), uint256(status), "task status");
    }

    function _assertConfirmed(Response response, bool confirmed) internal view {
        ResponseStatus expected = confirmed ? ResponseStatus.CONFIRMED : ResponseStatus.SUBMITTED;
        vm.assertEq(uint256(response.status()), uint256(expected), "response status");
        vm.assertTrue(response.confirmedFinal() == confirmed, "confirmedFinal");
    }

    function _assertFunds(address account, uint256 balance, uint256 lockup, uint256 unbonding) internal view {
        vm.assertEq(vault.balanceOf(account), balance, "balance");
        vm.assertEq(vault.lockupOf(account), lockup, "lockup");
        vm.assertEq(vault.unbondingOf(account), unbonding, "unbonding");
    }

    /// @notice A Panic as revert data; code 0x32 is an index out of bounds.
    function _panic(uint256 code) internal pure returns (bytes memory) {
        return abi.encodeWithSignature("Panic(uint256)", code);
    }

    function _notOwner(address account) internal pure returns (bytes memory) {
        return abi.encodeWithSignature("OwnableUnauthorizedAccount(address)", account);
    }
}
