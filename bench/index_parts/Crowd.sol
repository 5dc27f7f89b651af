// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {DeliveryMethod, ResponseParams, SourceParams, TaskParams} from "src/interfaces/Types.sol";

interface IProtocol {
    function publishSource(SourceParams calldata params) external;
    function getSourceCount() external view returns (uint256);
    function sources(uint256 place) external view returns (address);
    function register(address source, address provider, uint8 environment) external;
    function attempt(address task, address provider, uint256 payment) external;
    function submitResponse(ResponseParams calldata params) external;
    function publishTask(TaskParams calldata params) external;
    function cancelTask(address task) external;
    function confirmResponse(address response) external;
    function announceProvider(address provider, uint256 amount) external payable;
    function announceMaster(address master) external;
    function deposit(address account) external payable;
    function lock(uint256 amount) external;
    function unbond(uint256 amount) external;
    function setAgent(address agent, bool value) external;
    function tasks(uint256 place) external view returns (address);
    function getTaskCount() external view returns (uint256);
    function responseOf(address provider) external view returns (address);
}

/// @notice An account that does what its owner says: a provider or a master.
contract Hand {
    address private immutable _owner = msg.sender;

    function run(address to, bytes calldata call) external payable {
        require(msg.sender == _owner, "NotOwner");
        (bool done, bytes memory said) = to.call{value: msg.value}(call);
        if (!done) {
            assembly ("memory-safe") {
                revert(add(said, 32), mload(said))
            }
        }
    }
}

/// @notice A client with providers of its own, which sends many tasks through the real contracts in one transaction.
contract Crowd {
    uint256 private constant STAKE = 20 ether;
    uint256 private constant PRICE = 1e15;
    bytes private constant BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZ";

    IProtocol private immutable _nexus;
    IProtocol private immutable _controller;
    IProtocol private immutable _terminal;
    IProtocol private immutable _vault;

    Hand[] private _providers;
    address[] private _sources;

    constructor(address nexus, address controller, address terminal, address vault) payable {
        _nexus = IProtocol(nexus);
        _controller = IProtocol(controller);
        _terminal = IProtocol(terminal);
        _vault = IProtocol(vault);
    }

    /// @notice Publishes sources, every second one for first responses, with half of its coin as balance.
    function open(uint256 sourceCount, uint256 providerCount) external {
        for (uint256 i = 0; i < providerCount; i++) _hire();
        _vault.deposit{value: address(this).balance / 2}(address(this));
        _vault.lock(STAKE * sourceCount);
        for (uint256 i = 0; i < sourceCount; i++) _publishSource(i);
    }

    /// @notice Sends the tasks of the numbers from `first` on through as much of their lives as their number says, with
    /// as many events of the Vault and of Terminal beside.
    function work(uint256 first, uint256 count) external {
        for (uint256 i = first; i < first + count; i++) {
            _task(i);
            _chores(i);
        }
    }

    function _hire() private {
        Hand provider = new Hand();
        Hand master = new Hand();
        bytes memory call = abi.encodeCall(IProtocol.announceProvider, (address(provider), STAKE));
        master.run{value: STAKE}(address(_terminal), call);
        provider.run(address(_terminal), abi.encodeCall(IProtocol.announceMaster, (address(master))));
        _providers.push(provider);
    }

    function _publishSource(uint256 number) private {
        DeliveryMethod delivery = number % 2 == 0 ? DeliveryMethod.MANUAL_CONFIRMATION : DeliveryMethod.FIRST_RESPONSE;
        string memory url = _link("source", number);
        _nexus.publishSource(SourceParams(address(this), url, 1, PRICE, 0, 365 days, false, "", delivery, 0));
        address source = _nexus.sources(_nexus.getSourceCount() - 1);
        _sources.push(source);
        for (uint256 i = 0; i < _providers.length; i++) {
            bytes memory call = abi.encodeCall(IProtocol.register, (source, address(_providers[i]), 1));
            _providers[i].run(address(_nexus), call);
        }
    }

    // Of ten tasks one is canceled, one stays new, one is only attempted, one has two answers and none confirmed; one
    // of the six that are finalized has had two attempts.
    function _task(uint256 number) private {
        address source = _sources[(number / 10) % _sources.length];
        string memory url = _link("config", number);
        _controller.publishTask(TaskParams(source, url, block.timestamp + 30 days, PRICE + number % 7));
        address task = IProtocol(source).tasks(IProtocol(source).getTaskCount() - 1);
        uint256 fate = number % 10;
        if (fate == 0) return _controller.cancelTask(task);
        if (fate == 1) return;
        Hand one = _providers[number % _providers.length];
        _attempt(task, one);
        if (fate == 2) return;
        bool manual = (number / 10) % _sources.length % 2 == 0;
        Hand other = _providers[(number + 1) % _providers.length];
        if (fate == 4) _attempt(task, other);
        _answer(task, one, number);
        if (fate == 3 && manual) {
            _attempt(task, other);
            _answer(task, other, number + (1 << 128));
        } else if (manual) {
            _controller.confirmResponse(IProtocol(task).responseOf(address(one)));
        }
    }

    // A local node keeps 60 KB of a task, so a large chain of tasks alone would not fit into memory.
    function _chores(uint256 number) private {
        _vault.lock(1);
        _vault.lock(1);
        _vault.unbond(1);
        if (number % 16 == 0) _vault.deposit{value: 1}(address(uint160(uint256(keccak256(abi.encode(number))))));
        _terminal.setAgent(address(uint160(0x1000 + number / 2)), number % 2 == 0);
        bytes memory call = abi.encodeCall(IProtocol.lock, (1));
        Hand provider = _providers[number % _providers.length];
        if (number % 10 > 3 && number >= 10 * _providers.length) provider.run(address(_vault), call);
    }

    function _attempt(address task, Hand provider) private {
        provider.run(address(_nexus), abi.encodeCall(IProtocol.attempt, (task, address(provider), PRICE)));
    }

    function _answer(address task, Hand provider, uint256 number) private {
        ResponseParams memory answer = ResponseParams(task, address(provider), _link("result", number), PRICE - number % 5);
        provider.run(address(_nexus), abi.encodeCall(IProtocol.submitResponse, (answer)));
    }

    /// @notice A link as the network's content service gives it, with a CID of no file.
    function _link(string memory kind, uint256 number) private pure returns (string memory) {
        bytes32 digest = keccak256(abi.encode(kind, number));
        bytes memory cid = "QmS0000000000000000000000000000000000000000000";
        bytes memory letters = BASE58;
        for (uint256 i = 3; i < 46; i++) cid[i] = letters[uint8(digest[i % 32]) / 8 + (i > 31 ? 1 : 0)];
        return string.concat("https://cipfs.ogpuscan.io/ipfs/", string(cid));
    }
}
